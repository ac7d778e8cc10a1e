"""What a caller's next call says about the one before."""

from __future__ import annotations

from tool_router.learning.follow_up import WINDOW_S, FollowUp, FollowUps
from tool_router.learning.outcome import Verdict


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_second_call_with_another_tool_replaces_the_first_choice() -> None:
    calls = FollowUps(Clock())
    calls.called("book a table", "hotels", "1", named=False, failed=False)
    said = calls.called(" Book  a table ", "dining", "2", named=True, failed=False)
    assert said == FollowUp(Verdict.GOOD, replaced="1")


def test_the_same_tool_again_says_nothing_new() -> None:
    calls = FollowUps(Clock())
    calls.called("book a table", "dining", "1", named=False, failed=False)
    assert calls.called("book a table", "dining", "2", named=True, failed=False) == FollowUp(
        Verdict.SUCCEEDED
    )


def test_a_tool_picked_after_an_unsure_answer_is_right() -> None:
    calls = FollowUps(Clock())
    calls.unsure("book a table")
    assert calls.called("book a table", "dining", "1", named=True, failed=False) == FollowUp(Verdict.GOOD)


def test_a_call_that_fails_is_no_proof_of_a_better_choice() -> None:
    calls = FollowUps(Clock())
    calls.called("book a table", "hotels", "1", named=False, failed=False)
    said = calls.called("book a table", "dining", "2", named=True, failed=True)
    assert said.verdict is Verdict.FAILED


def test_another_ranking_of_the_same_task_corrects_nothing() -> None:
    calls = FollowUps(Clock())
    calls.called("book a table", "hotels", "1", named=False, failed=False)
    assert calls.called("book a table", "dining", "2", named=False, failed=False).replaced is None


def test_much_later_the_same_words_are_a_new_task() -> None:
    clock = Clock()
    calls = FollowUps(clock)
    calls.called("book a table", "hotels", "1", named=False, failed=False)
    clock.now = WINDOW_S + 1
    assert calls.called("book a table", "dining", "2", named=True, failed=False) == FollowUp(
        Verdict.SUCCEEDED
    )
