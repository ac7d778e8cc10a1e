"""What a request works with: a catalog, its keyword index, and how fresh they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tool_router.catalog.diff import CatalogChange, diff
from tool_router.catalog.model import Catalog, Tool, unique_ids
from tool_router.catalog.suspicion import Words, read_words

if TYPE_CHECKING:
    from tool_router.errors import GatewayError
    from tool_router.scoring.keyword import KeywordIndex

IndexBuilder = Callable[[Sequence[Tool]], "KeywordIndex"]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A consistent view of the catalog; it stays as it is while the keeper goes on.

    Attributes:
        index: the keyword index of exactly these tools.
        description: the text of ``execute_task``'s description.
        stale: the gateway did not confirm this catalog when it was last asked, or was not asked yet.
        age_s: seconds since the gateway gave or confirmed it; the Unix time for one never fetched.
        error: why the last refresh failed; None after one that worked.
        flagged: the tools whose words are suspicious or changed and were not accepted: why, by tool id.
    """

    catalog: Catalog
    index: KeywordIndex
    description: str
    stale: bool
    age_s: float
    error: GatewayError | None = None
    flagged: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A catalog with everything computed from it, and what is new in it."""

    catalog: Catalog
    index: KeywordIndex
    description: str
    words: Words = field(default_factory=Words)
    change: CatalogChange = field(default_factory=CatalogChange)
    dropped: tuple[str, ...] = ()


def build_keyword_index(tools: Sequence[Tool]) -> KeywordIndex:
    """Build the keyword index; imports numpy and rapidfuzz on first use."""
    from tool_router.scoring.keyword import KeywordIndex

    return KeywordIndex.build(tools)


def prepare(
    catalog: Catalog,
    previous: Prepared | None,
    describe: Callable[[Catalog], str],
    build_index: IndexBuilder,
) -> Prepared:
    """Compute all that a request needs of a catalog. Slow (0.1-1 s for thousands of tools): for a thread.

    Of an unchanged catalog everything but its time is taken over from `previous`.
    """
    tools, dropped = unique_ids(catalog.tools)
    if previous is not None and tools == previous.catalog.tools:
        confirmed = Catalog(previous.catalog.tools, catalog.fetched_at, catalog.source)
        _ = confirmed.fingerprint
        return Prepared(confirmed, previous.index, previous.description, previous.words)
    catalog = Catalog(tools, catalog.fetched_at, catalog.source)
    # Cached on the catalog here, so that nobody computes it on the event loop.
    _ = catalog.fingerprint
    change = diff(previous.catalog if previous is not None else Catalog(), catalog)
    return Prepared(catalog, build_index(tools), describe(catalog), read_words(catalog), change, dropped)
