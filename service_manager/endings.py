"""How a service ended, in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import anyio

from service_manager.drivers.protocol import Running
from service_manager.errors import ServiceStartFailed


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


def epitaph(running: Running | None) -> str:
    """How a service ended, with its last words; empty while it runs."""
    if running is None or not running.ending():
        return ""
    words = running.last_words()
    return f"{running.ending()}: {words[-1]}" if words else running.ending()


def end_of(running: Running | None) -> Callable[[], Awaitable[None]]:
    """What returns when the service has ended; never, for one that runs elsewhere."""
    return anyio.sleep_forever if running is None else running.wait


def cause(error: BaseException) -> str:
    """The first plain error inside groups, in words."""
    if isinstance(error, BaseExceptionGroup):
        return cause(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return f"{error}" or type(error).__name__
