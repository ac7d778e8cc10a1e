"""A tool by the name that somebody gave it."""

from __future__ import annotations

from collections.abc import Callable

from tool_router.catalog.model import Catalog, Tool
from tool_router.errors import AmbiguousTool, UnknownTool

_NEAREST = 5
_CONSIDERED = 50
_SHOWN_IDS = 10
_LONGEST_NAME = 300
"""Longer than any real tool id; a longer name is compared and shown cut."""

_CUTOFF = 55.0
"""Least similarity of a suggestion (rapidfuzz WRatio, 0-100); below it, names share a few letters only."""


def find(catalog: Catalog, name: str) -> Tool:
    """The tool that a name names: its id, its call name, or its bare name when only one tool has that.

    What matches letter by letter goes before what matches when case is ignored.

    Raises:
        AmbiguousTool: several tools match equally well.
        UnknownTool: none does.
    """
    name = name.strip()
    tool = catalog.by_id.get(name)
    if tool is not None:
        return tool
    for form in (str, str.casefold):
        tool = _only(catalog, name, form)
        if tool is not None:
            return tool
    name = name[:_LONGEST_NAME]
    raise UnknownTool(name, _nearest(catalog, name))


def _only(catalog: Catalog, name: str, form: Callable[[str], str]) -> Tool | None:
    """The one tool with that name in the most specific kind of name that matches at all."""
    if not name:
        return None
    wanted = form(name)
    kinds: tuple[Callable[[Tool], str], ...] = (
        lambda tool: tool.id,
        lambda tool: tool.call_name,
        lambda tool: tool.name,
    )
    for kind in kinds:
        matches = [tool for tool in catalog.tools if form(kind(tool)) == wanted]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise AmbiguousTool(name, [tool.id for tool in matches[:_SHOWN_IDS]])
    return None


def _nearest(catalog: Catalog, name: str) -> list[str]:
    # Imported here: only a wrong name needs it, and it would slow every start.
    from rapidfuzz import fuzz, process, utils

    # WRatio finds parts of names and words in another order; among those, the likest whole name is first.
    best: dict[str, float] = {}
    for names in ([tool.id for tool in catalog.tools], [tool.name for tool in catalog.tools]):
        for found, _, position in process.extract(
            name,
            names,
            scorer=fuzz.WRatio,
            processor=utils.default_process,
            limit=_CONSIDERED,
            score_cutoff=_CUTOFF,
        ):
            tool_id = catalog.tools[position].id
            likeness = fuzz.ratio(name, found, processor=utils.default_process)
            best[tool_id] = max(likeness, best.get(tool_id, 0.0))
    return sorted(best, key=lambda tool_id: (-best[tool_id], tool_id))[:_NEAREST]
