"""Every error of service_manager, as one tree.

ServiceManagerError
├── ConfigError           services.yml (or another file) is wrong: file, line, what, suggestion
├── LockError             services.lock.json is missing, stale or does not match what was installed
├── InstallError          a package could not be installed
├── UnknownService        no service of that name; carries the nearest names
├── ServiceUnavailable    a need is missing (runtime, key); carries the reason
├── ServiceStartFailed    it did not start; carries the last stderr lines
├── ServiceCrashed        it died while a request was in flight
├── SleepFailed           it could not be put to sleep or woken in the way that was tried
├── PlatformError         a Docker engine or a cluster can't be reached, or refused something
├── NoSwap                swap can't be made for a measurement
├── LimitReached          a limit of the machine's services keeps it from starting; carries which
└── DaemonError           the daemon can't be started or reached, or refused a request
"""

from __future__ import annotations

from collections.abc import Sequence


class ServiceManagerError(Exception):
    """Base of every error of this package.

    Attributes:
        tried: what was attempted and how it failed, one sentence.
        next_step: what the reader can do about it; empty when there is nothing.
    """

    def __init__(self, tried: str, next_step: str = "") -> None:
        super().__init__(tried, next_step)
        self.tried = tried
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.tried} {self.next_step}".strip()


class ConfigError(ServiceManagerError):
    """A configuration file is wrong; `tried` starts with ``file:line:``.

    Attributes:
        problems: each thing that is wrong, ``file:line: what. What to do.``, in the file's order.
    """

    def __init__(self, tried: str, next_step: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(tried, next_step)
        self.problems = tuple(problems) or (str(self),)


class LockError(ServiceManagerError):
    """The lock file is missing, stale, or contradicts what was installed."""


class InstallError(ServiceManagerError):
    """A package could not be installed."""


class UnknownService(ServiceManagerError):
    """There is no service of that name.

    Attributes:
        nearest: the most similar names, best first.
    """

    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        hint = f"Did you mean: {', '.join(nearest)}?" if nearest else "Run `service-manager list`."
        super().__init__(f"There is no service named {name!r}.", hint)
        self.name = name
        self.nearest = tuple(nearest)


class ServiceUnavailable(ServiceManagerError):
    """The service can't run on this machine: a runtime or a key it needs is missing."""


class ServiceStartFailed(ServiceManagerError):
    """The service did not start.

    Attributes:
        stderr_tail: its last stderr lines, oldest first; empty when it printed nothing.
    """

    def __init__(self, tried: str, next_step: str = "", stderr_tail: Sequence[str] = ()) -> None:
        super().__init__(tried, next_step)
        self.stderr_tail = tuple(stderr_tail)


class ServiceCrashed(ServiceManagerError):
    """The service died while a request was in flight; the request may or may not have taken effect."""


class SleepFailed(ServiceManagerError):
    """The service could not be put to sleep, or woken, in the way that was tried."""


class LimitReached(ServiceManagerError):
    """A limit of all services together keeps this one from starting now."""


class PlatformError(ServiceManagerError):
    """A Docker engine or a Kubernetes cluster can't be reached, or refused something.

    Attributes:
        status: of its answer; 0 without one.
    """

    def __init__(self, tried: str, next_step: str = "", status: int = 0) -> None:
        super().__init__(tried, next_step)
        self.status = status


class NoSwap(ServiceManagerError):
    """Swap can't be made for a measurement."""


class DaemonError(ServiceManagerError):
    """The daemon can't be started or reached, or refused what it was asked for."""
