"""What a service is: its specification, its states, its locked tools."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from service_manager.resources import Limits


class State(StrEnum):
    """The lifecycle of a service. SLEEPING is a state of health, not a failure."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    SLEEPING = "sleeping"
    WAKING = "waking"
    STOPPING = "stopping"
    FAILED = "failed"


TRANSITIONS = frozenset(
    {
        (State.STOPPED, State.STARTING),
        (State.FAILED, State.STARTING),
        (State.STARTING, State.RUNNING),
        # It did not start, or not within its lifetime.
        (State.STARTING, State.STOPPED),
        (State.STARTING, State.FAILED),
        (State.STARTING, State.STOPPING),
        (State.RUNNING, State.STOPPING),
        (State.RUNNING, State.SLEEPING),
        (State.SLEEPING, State.WAKING),
        (State.SLEEPING, State.STOPPING),
        (State.WAKING, State.RUNNING),
        # It died of the wake, or while it slept.
        (State.WAKING, State.STOPPING),
        (State.STOPPING, State.STOPPED),
        # Stopping is how it sleeps (the tier `respawn`), or it died too often.
        (State.STOPPING, State.SLEEPING),
        (State.STOPPING, State.FAILED),
        (State.WAKING, State.STOPPED),
        (State.WAKING, State.FAILED),
        # A person forgives it.
        (State.FAILED, State.STOPPED),
        (State.SLEEPING, State.STOPPED),
    }
)
"""How a service's state may change."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a service's state, at monotonic seconds of the manager's clock."""

    service: str
    before: State
    after: State
    at: float


class Priority(StrEnum):
    """Who sleeps first under pressure: low first, critical never."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Tier(StrEnum):
    """How deeply a service sleeps; in the order of what a wake may cost.

    WARM does not sleep. FROZEN is stopped by the scheduler and keeps its memory. PAGED_HOT is frozen with all
    pages paged out but those a wake needs, PAGED_FULL with all of them. RESPAWN is stopped and started again,
    and loses what it held in memory. CHECKPOINT is written to disk by CRIU and restored.
    """

    WARM = "warm"
    FROZEN = "frozen"
    PAGED_HOT = "paged_hot"
    PAGED_FULL = "paged_full"
    RESPAWN = "respawn"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A pinned package of a registry: ``npm`` or ``pypi``.

    Attributes:
        entry: the executable to run when the package has several; empty for its only or namesake one.
        constraints: further requirements installed with it, e.g. ``("mcp<2",)``.
        environment: the name of an environment it shares with other packages of the same registry; empty for
            one of its own.
    """

    registry: Literal["npm", "pypi"]
    package: str
    version: str
    entry: str = ""
    constraints: tuple[str, ...] = ()
    environment: str = ""


@dataclass(frozen=True, slots=True)
class CommandSource:
    """A command that is already on the machine: the argv without the service's `args`."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UrlSource:
    """An MCP endpoint that already runs (Streamable HTTP)."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A container image that is run by a Docker engine; it must be there already, nothing is pulled."""

    image: str


@dataclass(frozen=True, slots=True)
class DeploymentSource:
    """A Kubernetes deployment that is scaled between 0 and 1."""

    namespace: str
    deployment: str


Source = PackageSource | CommandSource | UrlSource | ImageSource | DeploymentSource


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One entry of services.yml after substitution and validation. Times in seconds.

    Attributes:
        needs: what must be there, in the words of services.yml: a runtime (``node``, ``python``), a program
            (``git``) or an environment variable (``env:BRAVE_API_KEY``).
        directories: absolute paths of directories that are made before it starts.
        endpoint: the address it serves MCP at (Streamable HTTP) once it runs; empty for standard streams.
            Where it and the arguments hold ``{port}``, a free port takes its place at each start.
        stateless: nothing is lost when it is stopped; only then may sleeping mean stopping.
        sleep: the tier it sleeps in; None to have the best one measured. CHECKPOINT is only ever entered so.
        wake_target_s: how long a wake may take; None for that of its priority.
        limits: its own limits, over those of its priority.
    """

    name: str
    source: Source
    description: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    needs: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    enabled: bool = True
    priority: Priority = Priority.NORMAL
    endpoint: str = ""
    stateless: bool = False
    sleep: Tier | None = None
    wake_target_s: float | None = None
    limits: Limits = field(default_factory=Limits)
    idle_timeout_s: float = 300.0
    min_sleep_time_s: float = 30.0
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: the real argv (never a launcher such as npx), its environment and directory.

    Attributes:
        python_entry: ``module:function`` of a Python console script, so that it can be forked instead of
            started; empty for everything else.
        environment: the virtual environment that `python_entry` belongs to; empty without one.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    python_entry: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class LockedTool:
    """A tool as its service listed it when the lock was written; fields as in MCP's Tool, wire-cased."""

    name: str
    title: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] | bool = field(default_factory=dict[str, Any])
    annotations: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class LockedService:
    """What services.lock.json holds for one pinned service.

    Attributes:
        pin: ``npm:name@version`` or ``pypi:name==version``; a different pin makes the entry stale.
        integrity: the package archive's hash, ``sha512-<base64>`` (npm) or ``sha256:<hex>`` (PyPI).
    """

    pin: str
    integrity: str
    tools: tuple[LockedTool, ...] = ()


class Progress(Protocol):
    """Receives progress of an installation or a start; `total` is None when unknown."""

    def __call__(self, progress: float, total: float | None, message: str) -> Awaitable[None]:
        """Relay one step."""
        ...


class CommandResolver(Protocol):
    """Turns a specification into what to run, installing it first when that is needed."""

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """Say which services there are, now and after every change of services.yml."""
        ...

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        """Return the command of a service.

        Raises:
            InstallError: its package could not be installed.
            LockError: what was installed is not what the lock says.
            ServiceUnavailable: a need is missing.
        """
        ...
