"""What is asked, and what will be done about it before anything is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tool_router.args.model import Draft
from tool_router.catalog.model import Tool
from tool_router.errors import ToolRouterError
from tool_router.policy import Decision
from tool_router.results import provenance
from tool_router.scoring.ranking import Ranking

if TYPE_CHECKING:
    from tool_router.learning.affinity import TaskView


@dataclass(frozen=True, slots=True)
class Request:
    """One call of execute_task, with text that can be encoded and compared."""

    task: str
    context: str = ""
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None

    @classmethod
    def clean(cls, task: str, context: str, tool: str | None, arguments: Mapping[str, Any] | None) -> Request:
        """Build a request from wire values: lone surrogates and NUL bytes are replaced."""
        return cls(
            _clean(task), _clean(context), _clean(tool.strip()) if tool and tool.strip() else None, arguments
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done about a request, before anything is called.

    Attributes:
        id: names the decision, for feedback.
        decision: what was decided, or None when `error` says why nothing could be.
        view: the task as outcomes compare it; None where nothing was ranked or nothing is learned.
        spent_s: seconds of the request's budget used so far.
    """

    request: Request
    id: str = ""
    decision: Decision | None = None
    error: ToolRouterError | None = None
    ranking: Ranking | None = None
    view: TaskView | None = None
    catalog_age_s: float = 0.0
    catalog_stale: bool = False
    spent_s: float = 0.0
    ms: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def tool(self) -> Tool | None:
        """The chosen tool, where there is one."""
        return getattr(self.decision, "tool", None)

    @property
    def draft(self) -> Draft | None:
        """The chosen tool's arguments, where there is a tool."""
        return getattr(self.decision, "draft", None)


def decision_facts(
    plan: Plan, status: str, ms: Mapping[str, float], targets: Sequence[str] = ()
) -> dict[str, Any]:
    """How an answer was reached, as `_meta` and `--json` show it."""
    ranking = plan.ranking
    first = ranking.candidates[0] if ranking and ranking.candidates else None
    tool, draft = plan.tool, plan.draft
    return {
        "id": plan.id,
        "status": status,
        "tool": tool.id if tool else None,
        "score": round(first.score, 4) if first else None,
        "confidence": round(ranking.confidence, 4) if ranking else None,
        "none_fits": round(ranking.none_fits, 4) if ranking else None,
        "margin": round(ranking.margin, 4) if ranking else None,
        "affinity": round(first.affinity, 4) if first else None,
        "rung": ranking.rung.value if ranking else "named",
        "cached": ranking.cached if ranking else "",
        "rung_reason": ranking.rung_reason if ranking else "the caller named the tool",
        "arguments": provenance(draft) if draft else {},
        "catalog": {"age_s": round(plan.catalog_age_s, 1), "stale": plan.catalog_stale},
        "targets": list(targets),
        "ms": {name: round(value, 2) for name, value in ms.items()},
    }


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
