"""Sets of memory as sorted ranges of addresses that do not touch; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""From the first address to the one after the last."""

Ranges = tuple[Range, ...]


def size(ranges: Iterable[Range]) -> int:
    """How many bytes they cover."""
    return sum(end - start for start, end in ranges)


def union(ranges: Iterable[Range]) -> Ranges:
    """What any of them covers; they may overlap and come in any order."""
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)


def minus(ranges: Ranges, others: Ranges) -> Ranges:
    """What the first cover and the others do not."""
    left: list[Range] = []
    index = 0
    for start, end in ranges:
        while index < len(others) and others[index][1] <= start:
            index += 1
        at = index
        while start < end and at < len(others) and others[at][0] < end:
            if others[at][0] > start:
                left.append((start, others[at][0]))
            start = max(start, others[at][1])
            at += 1
        if start < end:
            left.append((start, end))
    return tuple(left)


def both(ranges: Ranges, others: Ranges) -> Ranges:
    """What both cover."""
    return minus(ranges, minus(ranges, others))


def first(ranges: Ranges, limit: int) -> Ranges:
    """The first ranges as far as they cover no more than this many bytes."""
    taken: list[Range] = []
    for start, end in ranges:
        if limit <= 0:
            break
        taken.append((start, min(end, start + limit)))
        limit -= end - start
    return tuple(taken)


def batches(ranges: Iterable[Range], limit: int, count: int) -> Iterator[Ranges]:
    """Cut them into pieces of at most so many bytes and so many ranges each."""
    batch: list[Range] = []
    room = limit
    for start, end in ranges:
        while start < end:
            piece = min(room, end - start)
            batch.append((start, start + piece))
            start += piece
            room -= piece
            if room == 0 or len(batch) == count:
                yield tuple(batch)
                batch, room = [], limit
    if batch:
        yield tuple(batch)
