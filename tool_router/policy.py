"""What to do with a ranking and a draft: execute, ask, or say no. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal

from tool_router.args.model import Draft, Source
from tool_router.catalog.model import Tool
from tool_router.effect import Effect, effect_of
from tool_router.scoring.ranking import Candidate, Ranking


class ConfirmScope(StrEnum):
    """Which effects a person must confirm before a task text alone may run them."""

    DESTRUCTIVE = "destructive"
    WRITES = "writes"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities in [0, 1]: those that the first candidate is right, and one that none is.

    Attributes:
        read: execute a reading tool from here on.
        write: execute a writing tool from here on.
        destructive: offer a destructive tool for confirmation from here on.
        no_match: from this probability that no tool fits on, none is thought to.
    """

    read: float = 0.8
    write: float = 0.85
    destructive: float = 0.9
    no_match: float = 0.5

    def of(self, effect: Effect) -> float:
        """The line a tool of this effect must reach."""
        return (self.read, self.write, self.destructive)[effect]


DecisionKind = Literal["execute", "need_arguments", "ambiguous", "confirm", "no_match"]


@dataclass(frozen=True, slots=True)
class Execute:
    """Call the tool with the draft's arguments."""

    kind: ClassVar[DecisionKind] = "execute"
    tool: Tool
    draft: Draft


@dataclass(frozen=True, slots=True)
class NeedArguments:
    """The tool is clear; some arguments are missing, invalid or doubtful."""

    kind: ClassVar[DecisionKind] = "need_arguments"
    tool: Tool
    draft: Draft


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several tools may be meant, or the likeliest is to be looked at first; the caller picks one by name.

    Attributes:
        doubt: what speaks against the likeliest one, for people; empty when it is only the scores.
    """

    kind: ClassVar[DecisionKind] = "ambiguous"
    candidates: tuple[Candidate, ...]
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Tool and arguments are clear, but a person must agree first."""

    kind: ClassVar[DecisionKind] = "confirm"
    tool: Tool
    draft: Draft
    effect: Effect


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No tool fits, or the one that fits can't be called now (`unavailable`)."""

    kind: ClassVar[DecisionKind] = "no_match"
    candidates: tuple[Candidate, ...] = ()
    unavailable: Tool | None = None


Decision = Execute | NeedArguments | Ambiguous | Confirm | NoMatch

NEAR_TIE = 0.05
"""An available tool whose score is within this of a better, unavailable one is an alternative to it."""


RIVAL = 0.6
"""A candidate from this share of the picked one's score on may be meant instead of it."""
RIVALS_READ = 2


def choose(ranking: Ranking, thresholds: Thresholds) -> Candidate | Ambiguous | NoMatch:
    """Pick the candidate the task is about, or say why none can be picked."""
    candidates = available(ranking)
    if ranking.none_fits >= thresholds.no_match:
        return NoMatch(candidates)
    candidate = usable(ranking)
    if candidate is None:
        return NoMatch(candidates, unavailable=ranking.candidates[0].tool if ranking.candidates else None)
    if ranking.confidence < thresholds.of(effect_of(candidate.tool)):
        return Ambiguous(candidates)
    return candidate


def available(ranking: Ranking) -> tuple[Candidate, ...]:
    """The candidates that may be called now."""
    return tuple(candidate for candidate in ranking.candidates if candidate.tool.available)


def usable(ranking: Ranking) -> Candidate | None:
    """The first available candidate, unless an unavailable one is clearly better."""
    best = next(iter(available(ranking)), None)
    if best is None or ranking.candidates[0].score - best.score > NEAR_TIE:
        return None
    return best


def rivals(ranking: Ranking, picked: Candidate) -> tuple[Candidate, ...]:
    """The candidates behind the picked one that may be meant instead, should its arguments be missing.

    A task that names everything another tool of similar score needs, and not what the first needs, is more
    likely about the other.
    """
    near = [c for c in available(ranking) if c.score >= RIVAL * picked.score and c.tool is not picked.tool]
    return tuple(near[:RIVALS_READ])


def decide(tool: Tool, draft: Draft, effect: Effect, confirm: ConfirmScope, *, named: bool) -> Decision:
    """Decide about a tool that is chosen: by the ranking, or because the caller named it.

    A call that names the tool and gives every argument itself is what the client's own approval dialog has
    shown, so it needs no second question; values read from the task were not shown there.

    Args:
        tool: the chosen tool; it must be available.
        draft: its arguments.
        effect: what a call does.
        confirm: which effects a person confirms.
        named: whether the caller named the tool and gave `arguments` in the same call.
    """
    if not draft.clear:
        return NeedArguments(tool, draft)
    shown = named and all(value.source in (Source.CALLER, Source.DEFAULT) for value in draft.values.values())
    if _needs_person(effect, confirm) and not shown:
        return Confirm(tool, draft, effect)
    return Execute(tool, draft)


def _needs_person(effect: Effect, confirm: ConfirmScope) -> bool:
    match confirm:
        case ConfirmScope.NEVER:
            return False
        case ConfirmScope.WRITES:
            return effect is not Effect.READ
        case ConfirmScope.DESTRUCTIVE:
            return effect is Effect.DESTRUCTIVE
