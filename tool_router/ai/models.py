"""Which embedding model to use, and how it wants its texts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tool_router.ai.provider import EmbeddingModel

SUGGESTED = "all-minilm"
"""Suggested where none is pulled: 46 MB, about 20 ms a query on an ordinary CPU."""

_SEARCH = "Represent this sentence for searching relevant passages: "


@dataclass(frozen=True, slots=True)
class Family:
    """A family of embedding models, with the prefixes its model card asks for."""

    name: str
    query_prefix: str = ""
    document_prefix: str = ""


FAMILIES = (
    Family("all-minilm"),
    Family("nomic-embed-text", "search_query: ", "search_document: "),
    Family("mxbai-embed-large", _SEARCH),
    Family("bge-m3"),
    Family("embeddinggemma", "task: search result | query: ", "title: none | text: "),
    Family("snowflake-arctic-embed2", "query: "),
    Family("snowflake-arctic-embed", _SEARCH),
    Family("granite-embedding"),
    Family("paraphrase-multilingual"),
    Family("bge-large", _SEARCH),
)
"""Known families in the order in which they are preferred: a request waits for its query's vector, so the
fastest comes first."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that a host has: its name with tag, and the digest of its weights."""

    name: str
    digest: str = ""


def configured(wanted: str, pulled: Sequence[Pulled]) -> EmbeddingModel | None:
    """The model a person asked for, or None when it is not pulled; no tag means ``latest``."""
    full = wanted if ":" in wanted.rsplit("/", 1)[-1] else f"{wanted}:latest"
    for model in pulled:
        if model.name.casefold() in (wanted.casefold(), full.casefold()):
            return described(model)
    return None


def preferred(pulled: Sequence[Pulled]) -> EmbeddingModel | None:
    """The first pulled model of the known families, or None."""
    for family in FAMILIES:
        for model in pulled:
            if _base(model.name) == family.name:
                return described(model)
    return None


def described(model: Pulled) -> EmbeddingModel:
    """A pulled model with its family's prefixes; none where the family is not known."""
    base = _base(model.name)
    family = next((family for family in FAMILIES if family.name == base), Family(base))
    # A model that is pulled again under its old name has other weights, and so another key.
    key = f"{model.name}@{model.digest[:16]}" if model.digest else model.name
    return EmbeddingModel(model.name, key, family.query_prefix, family.document_prefix)


def _base(name: str) -> str:
    """``library/all-minilm:33m`` -> ``all-minilm``."""
    return name.rsplit("/", 1)[-1].split(":", 1)[0].casefold()
