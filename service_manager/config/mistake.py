"""What is wrong with a piece of text, and what to write instead."""

from __future__ import annotations


class Mistake(ValueError):
    """Text that can't be understood.

    Attributes:
        what: what is wrong, without a final stop.
        suggestion: what to write instead, one sentence.
    """

    def __init__(self, what: str, suggestion: str) -> None:
        super().__init__(what, suggestion)
        self.what = what
        self.suggestion = suggestion
