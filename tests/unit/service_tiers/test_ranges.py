"""Sets of memory as ranges: the same as sets of bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service_manager.linux.ranges import Range, Ranges, batches, both, first, minus, size, union


def covered(ranges: Ranges) -> set[int]:
    return {at for start, end in ranges for at in range(start, end)}


def is_tidy(ranges: Ranges) -> bool:
    """Sorted, not empty, and no two of them touch."""
    flat = [bound for found in ranges for bound in found]
    return flat == sorted(flat) and len(flat) == len(set(flat))


def spans() -> st.SearchStrategy[list[Range]]:
    bound = st.integers(0, 40)
    return st.lists(st.tuples(bound, bound).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(spans())
def test_a_union_covers_what_any_of_them_covers_and_is_tidy(given_ranges: list[Range]) -> None:
    joined = union(given_ranges)
    assert covered(joined) == covered(tuple(given_ranges))
    assert is_tidy(joined)
    assert size(joined) == len(covered(joined))


@given(spans(), spans())
def test_minus_and_both_are_those_of_sets(some: list[Range], others: list[Range]) -> None:
    left, right = union(some), union(others)
    assert covered(minus(left, right)) == covered(left) - covered(right)
    assert covered(both(left, right)) == covered(left) & covered(right)
    assert is_tidy(both(left, right))


@given(spans(), st.integers(0, 50))
def test_the_first_bytes_are_the_lowest_and_no_more_than_the_limit(some: list[Range], limit: int) -> None:
    ranges = union(some)
    assert sorted(covered(first(ranges, limit))) == sorted(covered(ranges))[:limit]


@given(spans(), st.integers(1, 9), st.integers(1, 4))
def test_batches_hold_everything_once_and_keep_their_limits(
    some: list[Range], limit: int, count: int
) -> None:
    ranges = union(some)
    cut = list(batches(ranges, limit, count))
    assert [at for batch in cut for at in sorted(covered(batch))] == sorted(covered(ranges))
    assert all(0 < size(batch) <= limit and len(batch) <= count for batch in cut)
