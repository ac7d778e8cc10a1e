"""Progress of long work, on stderr."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import typer

T = TypeVar("T")


class Lines:
    """Progress on stderr: one line for each new step, without the signs of life between them."""

    def __init__(self) -> None:
        self._last = -1
        self._subject = ""

    async def __call__(self, progress: float, total: float | None, message: str) -> None:
        """Show one step."""
        subject = message.partition(":")[0]
        if (int(progress), subject) != (self._last, self._subject):
            self._last, self._subject = int(progress), subject
            typer.echo(message, err=True)


def run(work: Callable[[Lines], Awaitable[T]]) -> T:
    """Run something that reports its progress, and return what it returned."""

    async def main() -> T:
        return await work(Lines())

    return anyio.run(main)
