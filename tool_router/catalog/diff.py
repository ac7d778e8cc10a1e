"""What changed between two catalogs."""

from __future__ import annotations

from dataclasses import dataclass

from tool_router.catalog.model import Catalog, Tool, text_fingerprint


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """Tool ids that came, went, or now say or are something else; each in catalog order."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def diff(old: Catalog, new: Catalog) -> CatalogChange:
    """Compare two catalogs by tool id; a different order alone is no change."""
    before, after = old.by_id, new.by_id
    return CatalogChange(
        added=tuple(id_ for id_ in after if id_ not in before),
        removed=tuple(id_ for id_ in before if id_ not in after),
        changed=tuple(id_ for id_, tool in after.items() if id_ in before and _differs(before[id_], tool)),
    )


def _differs(old: Tool, new: Tool) -> bool:
    if old is new:
        return False
    return (
        old.availability is not new.availability
        or old.call_name != new.call_name
        or text_fingerprint(old) != text_fingerprint(new)
    )
