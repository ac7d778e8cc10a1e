"""Keeps a zygote for each Python environment that is worth one, and forks services from it.

A service that starts by itself spends nearly all of its time importing (SLEEP.md); a forked one has that
behind it. Whatever goes wrong here, the service is started as any other program.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

import anyio
import structlog

from service_manager.drivers.guardian import Guardian
from service_manager.zygote.forked import ForkedProcess, fork
from service_manager.zygote.rules import forkable, own, worth_it
from service_manager.zygote.running import RunningZygote, Unfit, start_zygote

FORK_S = 10.0
"""How long a fork may take, with the import of a module that is new to the zygote."""

IDLE_S = 1800.0
"""A zygote ends after so long without a child."""

FAILURES = 3
"""After so many zygotes in a row that did not work, an environment gets no other one."""


class Zygotes:
    """The zygotes of one manager; see `start`.

    Args:
        base: the environment that services get when they have none of their own.
        guardian: ends the zygotes when this process is killed.
        idle_s: a zygote without children ends after this.
    """

    def __init__(self, base: Mapping[str, str], guardian: Guardian, idle_s: float = IDLE_S) -> None:
        self._base = dict(base)
        self._guardian = guardian
        self._idle_s = idle_s
        self._environments: dict[str, _Environment] = {}
        self._closed = False

    async def __aenter__(self) -> Zygotes:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def know(self, services: Mapping[str, Sequence[str]]) -> None:
        """Say which services there are: the names of those of each environment, by its path."""
        for path, names in services.items():
            self._environment(path).services = len(set(names))

    async def start(
        self,
        environment: str,
        entry: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
    ) -> ForkedProcess | None:
        """Fork a service; None when it has to be started as any other program.

        That is so where there is no zygote yet and none is worth it, on other systems than Linux, for what a
        fork can't do, and after any failure, which is told in the log only.

        Args:
            environment: the path of the virtual environment.
            entry: what the service's console script calls, ``module:function``.
            argv: the script and its arguments, without the interpreter.
            env: the whole environment of the process.
            cwd: its directory; None for that of this process.
        """
        kept = self._environment(environment)
        kept.starts += 1
        kept.entries.add(entry)
        if self._closed or not kept.serves(entry) or not forkable(env, self._base):
            return None
        if cwd is not None and not await anyio.Path(cwd).is_dir():
            return None
        shared = not own(env, cwd, self._base)
        request = {"entry": entry, "argv": list(argv), "env": dict(env), "cwd": cwd, "import": shared}
        log = structlog.get_logger().bind(environment=environment, entry=entry)
        zygote = None
        try:
            async with kept.lock:
                zygote = await self._zygote(kept, environment, log)
            with anyio.fail_after(FORK_S):
                process, skipped = await fork(zygote.control, request)
        except Unfit as error:
            kept.blame(error.entry)
            log.info("zygote_unfit", unfit=error.entry, reason=str(error))
        except (OSError, ValueError, KeyError) as error:
            kept.failures += 1
            if zygote is not None and isinstance(error, TimeoutError):
                # It hangs, in the import most likely, and would not notice that it is dismissed.
                kept.unfit.add(entry)
                zygote.kill()
            log.warning("zygote_failed", failures=kept.failures, error=str(error) or type(error).__name__)
        else:
            kept.failures = 0
            if shared:
                kept.shared.add(entry)
            if skipped:
                log.info("zygote_import_skipped", reason=skipped)
            return process
        if zygote is not None:
            kept.dismiss(zygote)
        return None

    def pids(self) -> Mapping[str, int]:
        """The zygotes that run, by environment."""
        return {
            path: kept.zygote.process.pid
            for path, kept in self._environments.items()
            if kept.zygote is not None and kept.zygote.runs
        }

    async def aclose(self) -> None:
        """End every zygote. Children should have ended before; a zygote's end does not end them."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            for kept in self._environments.values():
                async with kept.lock:
                    if kept.zygote is not None:
                        kept.dismiss(kept.zygote)
                    await self._bury(kept, *kept.dismissed)

    def _environment(self, path: str) -> _Environment:
        return self._environments.setdefault(path, _Environment())

    async def _zygote(
        self, kept: _Environment, environment: str, log: structlog.typing.FilteringBoundLogger
    ) -> RunningZygote:
        """The zygote of an environment, started when there is none that runs. The caller holds the lock."""
        await self._bury(kept, *(zygote for zygote in kept.dismissed if not zygote.runs))
        identity = await _identity(environment)
        if kept.zygote is not None and (not kept.zygote.runs or kept.identity != identity):
            kept.dismiss(kept.zygote)
        if kept.zygote is not None:
            return kept.zygote
        if kept.identity != identity:
            kept.identity = identity
            kept.unfit.clear()
        zygote = await start_zygote(environment, self._base)
        self._guardian.guard(zygote.process.pid)
        kept.dismissed.append(zygote)
        try:
            skipped = await zygote.begin(sorted(kept.shared - kept.unfit), self._idle_s)
        except BaseException:
            zygote.dismiss()
            raise
        kept.dismissed.remove(zygote)
        kept.zygote = zygote
        log.info("zygote_started", zygote=zygote.process.pid, skipped=skipped)
        return zygote

    async def _bury(self, kept: _Environment, *zygotes: RunningZygote) -> None:
        for zygote in zygotes:
            await zygote.end()
            self._guardian.release(zygote.process.pid)
            kept.dismissed.remove(zygote)


class _Environment:
    """What is known of one environment.

    Attributes:
        starts: how often something was started in it.
        services: how many services it has, as far as that was said.
        entries: what was started in it.
        shared: those of them that a zygote has imported, so that the next one may at its start.
        unfit: those that are started as any other program.
        failures: zygotes in a row that did not work.
        identity: which directory the zygote was started from; it is another one after an installation.
        zygote: the one that serves.
        dismissed: those that wait for their last children, or never served.
    """

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.starts = 0
        self.services = 0
        self.entries: set[str] = set()
        self.shared: set[str] = set()
        self.unfit: set[str] = set()
        self.failures = 0
        self.identity: tuple[int, int] | None = None
        self.zygote: RunningZygote | None = None
        self.dismissed: list[RunningZygote] = []

    def serves(self, entry: str) -> bool:
        """Whether an entry is to be forked."""
        possible = sys.platform == "linux" and entry and entry not in self.unfit and self.failures < FAILURES
        return bool(possible) and worth_it(self.starts, max(self.services, len(self.entries)))

    def blame(self, entry: str) -> None:
        """Note what made a fork impossible: an entry, or else everything."""
        if entry in self.entries:
            self.unfit.add(entry)
        else:
            self.failures = FAILURES

    def dismiss(self, zygote: RunningZygote) -> None:
        """Let a zygote end after its last child."""
        if self.zygote is zygote:
            self.zygote = None
            zygote.dismiss()
            self.dismissed.append(zygote)


async def _identity(environment: str) -> tuple[int, int]:
    """Tells one directory of this name from the next one.

    Raises:
        OSError: there is none.
    """
    found = await anyio.Path(environment).stat()
    return found.st_ino, found.st_ctime_ns
