"""What a ranking is: candidates with their scores, and how they were reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tool_router.catalog.model import Tool


class Rung(StrEnum):
    """The rungs of the relevance ladder, lowest first."""

    KEYWORD = "keyword"
    EMBED = "embed"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tool with its scores.

    Attributes:
        score: what the ranking goes by; in [0, 1].
        keyword: in [0, 1].
        relevance: the cosine with the task; None on the keyword rung.
        affinity: what earlier outcomes of similar tasks say, from -1 to 1.
        judged: the judge's probability; None where it was not asked.
    """

    tool: Tool
    score: float
    keyword: float
    relevance: float | None = None
    affinity: float = 0.0
    judged: float | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best tools for one task.

    Attributes:
        candidates: best first, bounded (the selector's `limit`); empty only for an empty catalog.
        rung: the highest rung that answered.
        rung_reason: why no higher rung did, empty when none was configured.
        confidence: probability that the first candidate is right, in [0, 1].
        none_fits: probability that no tool of the catalog fits, in [0, 1].
        elapsed_ms: wall time the ranking took, in milliseconds.
        cached: the tier of the decision cache that answered (memory, redis, store); empty when computed now.
    """

    candidates: tuple[Candidate, ...]
    rung: Rung = Rung.KEYWORD
    rung_reason: str = ""
    confidence: float = 0.0
    none_fits: float = 0.0
    elapsed_ms: float = 0.0
    cached: str = ""

    @property
    def margin(self) -> float:
        """The first score minus the second; the first score when it stands alone, 0.0 without any."""
        if not self.candidates:
            return 0.0
        first = self.candidates[0].score
        return first - self.candidates[1].score if len(self.candidates) > 1 else first
