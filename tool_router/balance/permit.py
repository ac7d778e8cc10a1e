"""The right to make one call through a breaker, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto


class Outcome(Enum):
    """What the holder of a permit saw; see the methods of `Permit`."""

    SUCCESS = auto()
    FAILURE = auto()
    NEUTRAL = auto()


class Permit:
    """The right to make one call. The first of its three methods that is called counts, later ones do not."""

    __slots__ = ("_give_back", "_returned")

    def __init__(self, give_back: Callable[[Outcome, str], None]) -> None:
        self._give_back = give_back
        self._returned = False

    def success(self) -> None:
        """The call got its answer."""
        self._return(Outcome.SUCCESS)

    def failure(self, suspect: str = "") -> None:
        """The call failed.

        Args:
            suspect: a narrower key that may be at fault instead; empty when this key is at fault for sure. A
                run of failures that one suspect alone can explain does not open a closed breaker.
        """
        self._return(Outcome.FAILURE, suspect)

    def ignore(self) -> None:
        """The call says nothing about this key: it was cancelled, or its outcome is neutral."""
        self._return(Outcome.NEUTRAL)

    def _return(self, outcome: Outcome, suspect: str = "") -> None:
        if not self._returned:
            self._returned = True
            self._give_back(outcome, suspect)
