"""When a failing server is asked again."""

from __future__ import annotations

from tool_router.cache.rest import FIRST_S, LONGEST_S, Rest


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def resting(clock: Clock) -> Rest:
    # No jitter downwards: a delay is exactly half to whole; 1.0 gives the whole.
    return Rest(clock, jitter=lambda: 1.0)


def test_a_server_that_works_may_be_asked_by_everyone() -> None:
    rest = resting(Clock())
    assert all(rest.may_try(1.0) for _ in range(5))
    assert not rest.worked()


def test_after_a_failure_nobody_asks_until_the_rest_is_over_and_then_one_does() -> None:
    clock = Clock()
    rest = resting(clock)
    assert rest.failed()
    assert not rest.may_try(0.5)
    clock.now += FIRST_S
    assert rest.may_try(0.5)
    assert not rest.may_try(0.5)
    clock.now += 0.5
    assert rest.may_try(0.5)
    assert rest.worked()
    assert all(rest.may_try(0.5) for _ in range(2))


def test_each_failed_try_doubles_the_rest_up_to_a_limit() -> None:
    clock = Clock()
    rest = resting(clock)
    rest.failed()
    for expected in (1, 2, 4, 8, 16, 32, 60, 60):
        clock.now += expected - 0.01
        assert not rest.may_try(0.5)
        clock.now += 0.01
        assert rest.may_try(0.5)
        assert not rest.failed()
    assert LONGEST_S == 60


def test_callers_that_fail_together_count_as_one_failure() -> None:
    clock = Clock()
    rest = resting(clock)
    assert [rest.failed() for _ in range(10)] == [True, *[False] * 9]
    clock.now += FIRST_S
    assert rest.may_try(0.5)
