"""How a service ended, in words."""

from __future__ import annotations

from typing import cast

from service_manager.drivers.protocol import Running
from service_manager.errors import ServiceStartFailed


class End:
    """The end of one run of a service, for those who were talking to it."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def wait(self) -> None:
        """Return when it has ended; never, for one that runs elsewhere."""
        await self._running.wait()

    def epitaph(self) -> str:
        """How it ended, with its last words; empty while it runs."""
        ending = self._running.ending()
        words = self._running.last_words()
        return f"{ending}: {words[-1]}" if ending and words else ending


def did_not_start(name: str, why: str, running: Running) -> ServiceStartFailed:
    """The error of a start that came to nothing, with how the service ended and what it said last."""
    words = running.last_words()
    ending = f", {running.ending()}" if running.ending() else ""
    said = f" Its last lines: {' | '.join(words[-5:])}" if words else " It printed nothing on stderr."
    return ServiceStartFailed(
        f"{name} did not start: {why.strip()}{ending}.{said}",
        "Run it in a terminal to see what it lacks.",
        words,
    )


def cause(error: BaseException) -> str:
    """The first plain error inside groups, in words."""
    if isinstance(error, BaseExceptionGroup):
        return cause(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return f"{error}" or type(error).__name__
