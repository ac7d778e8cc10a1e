"""One computation for all who ask for the same thing at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Flight(Generic[T]):
    """One computation; ended without result and error, its leader was cancelled."""

    done: anyio.Event = field(default_factory=anyio.Event)
    result: tuple[T] | None = None
    error: Exception | None = None


class SingleFlight(Generic[T]):
    """Lets the first caller of a key compute, and those who come meanwhile wait for its result.

    The computation runs in the first caller's task, with its deadline. When that caller is cancelled, one of
    those who wait computes in its place. Nothing is kept afterwards: neither results nor failures.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, or of the same key's work that is under way.

        Raises:
            Exception: whatever the work raised, to everyone who waited for it.
        """
        while (flight := self._flights.get(key)) is not None:
            await flight.done.wait()
            if flight.error is not None:
                raise flight.error
            if flight.result is not None:
                return flight.result[0]
        return await self._lead(key, work)

    async def _lead(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        flight = self._flights[key] = _Flight[T]()
        try:
            result = await work()
            flight.result = (result,)
        except BaseException as error:
            # A cancellation is no Exception: it is this caller's own affair.
            if isinstance(error, Exception):
                flight.error = error
            raise
        else:
            return result
        finally:
            del self._flights[key]
            flight.done.set()
