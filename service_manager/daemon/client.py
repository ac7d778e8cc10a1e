"""Asks a daemon that runs, and finds or starts the one of a services.yml."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

import anyio
import httpx2

from service_manager.daemon.address import CONNECT_S, Address, read_address
from service_manager.daemon.launch import Launched, launch
from service_manager.daemon.place import place_of
from service_manager.daemon.wire import error_from_json
from service_manager.errors import DaemonError

Action = Literal["start", "stop", "sleep", "wake"]

READ_S = 15.0
"""How long a question may take that needs no service; one that starts a service waits for it."""

POLL_S = 0.05
"""How often a daemon that somebody else is starting is asked for."""

ANOTHER_S = 3.0
"""How long that may take before it is tried again; a start takes about one second."""


class DaemonClient:
    """The control API of one daemon, as an async context manager.

    Every method raises what the daemon raised (`UnknownService`, `SleepFailed`, `ServiceStartFailed`, ...),
    and DaemonError where it can't be reached or answers something else.

    Args:
        address: where it is.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> DaemonClient:
        self._http = self.address.http()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def services(self) -> list[dict[str, Any]]:
        """Every service as it is now (see `service_manager.daemon.view`)."""
        return (await self._ask("GET", "/services"))["services"]

    async def service(self, name: str) -> dict[str, Any]:
        """One service as it is now."""
        return await self._ask("GET", f"/services/{quote(name, safe='')}")

    async def do(self, name: str, action: Action) -> dict[str, Any]:
        """Start, stop, put to sleep or wake a service; returns it as it is when that is done."""
        return await self._ask("POST", f"/services/{quote(name, safe='')}/{action}", within_s=None)

    async def logs(self, name: str, lines: int, since: int | None = None) -> dict[str, Any]:
        """What a service wrote to stderr: ``lines``, and ``written``, how many it ever wrote.

        Args:
            name: the service.
            lines: at most so many of the last ones.
            since: only those that were written since ``written`` stood at this value.
        """
        query = {"lines": str(lines)} if since is None else {"lines": str(lines), "since": str(since)}
        return await self._ask("GET", f"/services/{quote(name, safe='')}/logs", query)

    async def check(self) -> dict[str, Any]:
        """Whether every service is well: ``ok``, and ``services`` one by one; wakes none."""
        return await self._ask("GET", "/check")

    async def usage(self) -> dict[str, Any]:
        """What the services use, by service, as far as the daemon's monitor knows."""
        return await self._ask("GET", "/usage")

    async def health(self) -> dict[str, Any]:
        """Who the daemon is: ``status``, ``pid``, ``instance``."""
        return await self._ask("GET", "/health")

    async def reload(self) -> dict[str, Any]:
        """Have services.yml and resource-limits.yml read again; what became of it (see `Changes`)."""
        return await self._ask("POST", "/reload", within_s=None)

    async def shutdown(self) -> None:
        """Have the daemon end, and its services with it; returns when it has begun to."""
        await self._ask("POST", "/shutdown")

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        within_s: float | None = READ_S,
    ) -> dict[str, Any]:
        assert self._http is not None, "use it as an async context manager"
        try:
            answer = await self._http.request(
                method, path, params=query, timeout=httpx2.Timeout(within_s, connect=CONNECT_S)
            )
            value: Any = answer.json()
        except httpx2.TimeoutException as error:
            raise DaemonError(f"The daemon did not answer {path} in time.", "Is it stopped?") from error
        except httpx2.HTTPError as error:
            raise DaemonError(
                f"The daemon can't be reached: {error}.", "Run `service-manager serve`."
            ) from error
        except ValueError as error:
            raise DaemonError(f"The daemon answered {path} with something else than JSON.") from error
        if not isinstance(value, dict):
            raise DaemonError(f"The daemon answered {path} with something else than an object.")
        told: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]  # JSON
        if "error" in told and answer.is_error:
            raise error_from_json(told)
        if answer.is_error:
            raise DaemonError(f"The daemon answered {path} with status {answer.status_code}.")
        return told


async def find_daemon(services_file: Path, environ: Mapping[str, str]) -> Address | None:
    """Where the daemon of this services.yml listens; None when none serves."""
    address = await anyio.to_thread.run_sync(read_address, place_of(services_file, environ))
    if address is None:
        return None
    try:
        async with DaemonClient(address) as client:
            health = await client.health()
    except DaemonError:
        return None
    # Another program may have got its port, or its process number, since.
    return address if health.get("instance") == address.instance else None


async def ensure_daemon(services_file: Path, environ: Mapping[str, str], wait_s: float) -> Address:
    """Where the daemon of this services.yml listens; it is started when none serves.

    A daemon that is started so outlives this process, and ends when it has been unused for ten minutes.

    Args:
        services_file: the services.yml; need not be absolute.
        environ: what the daemon gets as its environment, and where its files are.
        wait_s: how long it may take until it serves.

    Raises:
        DaemonError: it can't be started, or does not serve in time.
    """
    deadline = time.monotonic() + wait_s
    while True:
        address = await find_daemon(services_file, environ)
        if address is not None:
            return address
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            log = place_of(services_file, environ).log
            raise DaemonError(f"The daemon of {services_file} does not serve.", f"Read {log}.")
        if await launch(services_file, environ, left_s) is Launched.ANOTHER:
            # Another one is starting at this moment, or ending: the first serves soon, the second not at all.
            await _appeared(services_file, environ, min(left_s, ANOTHER_S))


async def _appeared(services_file: Path, environ: Mapping[str, str], wait_s: float) -> None:
    """Return when a daemon serves, or after this time."""
    with anyio.move_on_after(wait_s):
        while await find_daemon(services_file, environ) is None:  # noqa: ASYNC110  # it is another process
            await anyio.sleep(POLL_S)
