from __future__ import annotations

from tool_router.ai.trouble import LONGEST_REST_S, Trouble
from tool_router.errors import ProviderError

REFUSED = ProviderError("refused", "Ollama refused the connection.")
SLOW = ProviderError("timeout", "Ollama did not answer in time.")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failure_is_remembered_and_rests() -> None:
    clock = Clock()
    trouble = Trouble(clock, jitter=lambda: 1.0)
    assert trouble.failed(REFUSED)
    assert trouble.reason == str(REFUSED)
    assert trouble.rest_s == 1.0
    clock.now += 0.75
    assert trouble.rest_s == 0.25
    clock.now += 10
    assert trouble.rest_s == 0.0
    assert trouble.reason


def test_the_rest_grows_to_its_limit() -> None:
    trouble = Trouble(Clock(), jitter=lambda: 1.0)
    rests: list[float] = []
    for _ in range(8):
        trouble.failed(REFUSED)
        rests.append(trouble.rest_s)
    assert rests == [1, 2, 4, 8, 16, LONGEST_REST_S, LONGEST_REST_S, LONGEST_REST_S]


def test_only_a_new_reason_is_news() -> None:
    trouble = Trouble(Clock(), jitter=lambda: 0.0)
    assert trouble.failed(REFUSED)
    assert not trouble.failed(REFUSED)
    assert trouble.failed(SLOW)


def test_it_is_mended_once() -> None:
    trouble = Trouble(Clock(), jitter=lambda: 1.0)
    assert not trouble.mended()
    trouble.failed(REFUSED)
    trouble.failed(REFUSED)
    assert trouble.mended()
    assert not trouble.mended()
    assert (trouble.reason, trouble.rest_s) == ("", 0.0)
    trouble.failed(REFUSED)
    assert trouble.rest_s == 1.0
