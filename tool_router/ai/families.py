"""What is known of models by their family: which embed and how they want their texts, and which chat."""

from __future__ import annotations

from dataclasses import dataclass

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

CHAT_FAMILIES = frozenset(
    """qwen2.5 qwen3 llama3.2 llama3.1 llama3.3 gemma2 gemma3 phi3 phi3.5 phi4-mini phi4 mistral mistral-nemo
    mistral-small granite3.3 granite3-dense granite4 smollm2 ministral-3 command-r7b""".split()
)
"""Families that follow an instruction with one word. Those not listed are asked what they can do."""

REASONING_FAMILIES = frozenset("deepseek-r1 qwq gpt-oss magistral phi4-reasoning openthinker cogito".split())
"""Families that write down their thoughts before they answer, which no request can wait for."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A chat model that can be pulled.

    Attributes:
        size_bytes: of the download, which is about what it takes in memory.
        parameters: in billions.
    """

    name: str
    size_bytes: int
    parameters: float


SUGGESTED = "all-minilm"
"""The embedding model suggested where none is pulled: 46 MB, about 20 ms a query on an ordinary CPU."""

SUGGESTED_CHAT = (
    Suggestion("qwen2.5:7b", 4_700_000_000, 7.6),
    Suggestion("qwen2.5:3b", 1_900_000_000, 3.1),
    Suggestion("qwen2.5:1.5b", 986_000_000, 1.5),
    Suggestion("qwen2.5:0.5b", 398_000_000, 0.5),
)
"""Chat models to suggest, best first; the first that the host can carry is."""


def base_name(name: str) -> str:
    """``library/all-minilm:33m`` -> ``all-minilm``."""
    return name.rsplit("/", 1)[-1].split(":", 1)[0].casefold()
