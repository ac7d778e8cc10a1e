"""One connection through the proxy, carried both ways through the toxics of the moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import anyio

from tests.support.toxics.course import Course
from tests.support.toxics.kinds import (
    Bandwidth,
    Blackhole,
    Direction,
    Jitter,
    Latency,
    LimitData,
    Place,
    Reset,
    Slicer,
    SlowClose,
    Toxic,
)
from tests.support.toxics.wire import Wire

_STEP_S = 0.02
"""How long a limited line carries the bytes of one send."""


class Link:
    """One connection of a client, with the one to the server that belongs to it."""

    def __init__(self, toxics: Callable[[], Sequence[Toxic]], client: Wire, server: Wire) -> None:
        self._toxics = toxics
        self._wires = {Direction.UPSTREAM: (client, server), Direction.DOWNSTREAM: (server, client)}
        self._courses = {direction: Course() for direction in Direction}
        self._talking: Direction | None = None
        self._dice: dict[Jitter, random.Random] = {}
        self._held: set[Toxic] = set()
        self._left: dict[LimitData, int] = {}
        self._born_with = toxics()
        self._close_s = 0.0
        self._dead = False

    async def run(self) -> None:
        """Carry until either side has ended."""
        async with anyio.create_task_group() as tasks:
            for direction in Direction:
                tasks.start_soon(self._carry, direction, tasks.cancel_scope)

    def close(self, *, reset: bool = False) -> None:
        """End both sides at once."""
        for wire, _ in self._wires.values():
            wire.close(reset=reset)

    async def _carry(self, direction: Direction, scope: anyio.CancelScope) -> None:
        source, sink = self._wires[direction]
        while chunk := await source.receive():
            if not await self._pass_on(direction, chunk, sink):
                break
        else:
            # A dead line tells nobody of its end, but the proxy must not keep it.
            if not self._dead:
                await anyio.sleep(self._close_s)
        self.close()
        scope.cancel()

    async def _pass_on(self, direction: Direction, chunk: bytes, sink: Wire) -> bool:
        """Carry a chunk; False when the connection is over."""
        course = self._courses[direction]
        if self._talking is not direction:
            self._talking = direction
            self._held.clear()
            self._left = {one: left for one, left in self._left.items() if one.place is Place.CONNECT}
            course.turn()
        for piece, toxics in course.pieces(chunk, self._acting(direction)):
            if not await self._treat(piece, toxics, sink):
                return False
        return True

    def _acting(self, direction: Direction) -> list[Toxic]:
        """The toxics of one direction; those of CONNECT act on connections that were made under them."""
        return [
            one
            for one in self._toxics()
            if one.direction is direction and (one.place is not Place.CONNECT or one in self._born_with)
        ]

    async def _treat(self, piece: bytes, toxics: Sequence[Toxic], sink: Wire) -> bool:
        """Send a piece as the toxics let it pass; False when the connection is over."""
        for toxic in toxics:
            match toxic:
                case Latency() if toxic.place is not Place.CONNECT and toxic not in self._held:
                    self._held.add(toxic)
                    await anyio.sleep(toxic.delay_s)
                case Jitter():
                    dice = self._dice.setdefault(toxic, random.Random(toxic.seed))
                    await anyio.sleep(dice.uniform(0, toxic.most_s))
                case Blackhole():
                    self._dead = True
                case Reset():
                    self.close(reset=True)
                    return False
                case SlowClose():
                    self._close_s = toxic.delay_s
                case _:
                    pass
        if self._dead:
            return True
        piece, ends = self._limited(piece, toxics)
        size, pause_s = _flow(len(piece), toxics)
        for start in range(0, len(piece), max(1, size)):
            if not await sink.send(piece[start : start + size]):
                return False
            await anyio.sleep(pause_s)
        if ends:
            await anyio.sleep(self._close_s)
        return not ends

    def _limited(self, piece: bytes, toxics: Sequence[Toxic]) -> tuple[bytes, bool]:
        """What still passes of a piece, and whether the connection ends with it."""
        ends = False
        for toxic in toxics:
            if isinstance(toxic, LimitData):
                left = self._left.setdefault(toxic, toxic.count)
                ends = ends or left <= len(piece)
                piece = piece[:left]
                self._left[toxic] = left - len(piece)
        return piece, ends


def _flow(length: int, toxics: Sequence[Toxic]) -> tuple[int, float]:
    """How many bytes are sent at once, and the pause after them in seconds."""
    size, pause_s = length, 0.0
    for toxic in toxics:
        if isinstance(toxic, Slicer):
            size = min(size, toxic.size)
        elif isinstance(toxic, Bandwidth):
            size = min(size, max(1, round(toxic.bytes_per_s * _STEP_S)))
            pause_s = size / toxic.bytes_per_s
    return size, pause_s
