"""Scores drafted arguments against gold ones: BFCL's accept lists, and exact pairs.

The rules are those of the data sets' own evaluation, restated: under accept lists every gold parameter is
present with one of its accepted values, or absent where the empty string is accepted, and there is no other
parameter; under exact, all (name, value) pairs are equal, a number and its string form being equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tool_router.args.model import Draft

ACCEPT_LISTS = "bfcl_accept_lists"
EXACT = "exact"

_IGNORED = re.compile(r"[ ,./\-_*^]")


def score_call(gold: Mapping[str, Any], kind: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the arguments are right.

    Args:
        gold: the task's ``gold_arguments``.
        kind: its ``gold_arguments_kind``: ``bfcl_accept_lists`` or ``exact``.
        arguments: what would be sent.

    Raises:
        ValueError: the kind is neither.
    """
    if kind == ACCEPT_LISTS:
        return _accepted(gold, arguments)
    if kind == EXACT:
        return gold.keys() == arguments.keys() and all(_equal(gold[name], arguments[name]) for name in gold)
    raise ValueError(f"gold_arguments_kind {kind!r} is neither {ACCEPT_LISTS!r} nor {EXACT!r}")


def _accepted(gold: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    if not arguments.keys() <= gold.keys():
        return False
    for name, listed in gold.items():
        options = cast(list[Any], listed) if isinstance(listed, list) else [listed]
        if name not in arguments:
            if "" not in options:
                return False
        elif not any(_matches(option, arguments[name]) for option in options):
            return False
    return True


def _matches(option: Any, value: Any) -> bool:
    """One accepted value against what would be sent; an object's members carry accept lists of their own."""
    if isinstance(option, Mapping):
        nested = cast(Mapping[str, Any], option)
        return isinstance(value, Mapping) and _accepted(nested, cast(Mapping[str, Any], value))
    if isinstance(option, list):
        wanted = cast(list[Any], option)
        if not isinstance(value, list):
            return False
        sent = cast(list[Any], value)
        return len(sent) == len(wanted) and all(_matches(w, s) for w, s in zip(wanted, sent, strict=True))
    if isinstance(option, str):
        return isinstance(value, str) and _folded(option) == _folded(value)
    return _same_scalar(option, value)


def _same_scalar(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(one) == float(other)
    return bool(one == other)


def _folded(text: str) -> str:
    return _IGNORED.sub("", text).casefold().replace("'", '"')


def _equal(gold: Any, value: Any) -> bool:
    """Exact, except that a number and its string form are equal."""
    if isinstance(gold, bool) or isinstance(value, bool):
        return gold is value or str(gold).casefold() == str(value).casefold()
    if isinstance(gold, str | int | float) and isinstance(value, str | int | float):
        if str(gold) == str(value):
            return True
        try:
            return float(gold) == float(value)
        except ValueError:
            return False
    if isinstance(gold, list) and isinstance(value, list):
        wanted, sent = cast(list[Any], gold), cast(list[Any], value)
        return len(wanted) == len(sent) and all(_equal(w, s) for w, s in zip(wanted, sent, strict=True))
    if isinstance(gold, Mapping) and isinstance(value, Mapping):
        left, right = cast(Mapping[str, Any], gold), cast(Mapping[str, Any], value)
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    return bool(gold == value)


@dataclass(frozen=True, slots=True)
class ArgumentReport:
    """How good the drafts were.

    Attributes:
        n: tasks scored.
        exact: drafts whose arguments are right, executed or not.
        executed: drafts that would be executed without asking.
        executed_exact: of those, the right ones.
    """

    n: int
    exact: int
    executed: int
    executed_exact: int

    @property
    def exact_share(self) -> float:
        """Right drafts of all, 0 to 1; 0.0 for no tasks."""
        return self.exact / self.n if self.n else 0.0

    @property
    def executed_share(self) -> float:
        """Executed drafts of all, 0 to 1; 0.0 for no tasks."""
        return self.executed / self.n if self.n else 0.0

    @property
    def executed_exact_share(self) -> float:
        """Right ones of the executed, 0 to 1; 0.0 when nothing was executed."""
        return self.executed_exact / self.executed if self.executed else 0.0


def report_arguments(drafts: Iterable[tuple[Mapping[str, Any], str, Draft]]) -> ArgumentReport:
    """Score (gold, kind, draft) triples."""
    n = exact = executed = executed_exact = 0
    for gold, kind, draft in drafts:
        right = score_call(gold, kind, draft.arguments)
        n += 1
        exact += right
        executed += draft.clear
        executed_exact += right and draft.clear
    return ArgumentReport(n, exact, executed, executed_exact)
