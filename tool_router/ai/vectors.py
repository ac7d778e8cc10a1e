"""The vectors of one catalog: what is embedded of a tool, and the matrix that scores a query."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from tool_router.ai.provider import EmbeddingModel, Vectors
from tool_router.catalog.model import Catalog, Tool

TEXT_LIMIT = 1_000
"""Characters of one text. Small embedding models read 256 to 512 tokens, about 1,000 to 2,000 characters."""

CONTEXT_LIMIT = 300
_PARAMETER_CHARS = 200
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PUNCTUATION = re.compile(r"[_\-./:]+")


@dataclass(frozen=True, slots=True)
class TextKeys:
    """What must be embedded of a catalog with a model.

    Attributes:
        fingerprint: the catalog's.
        rows: the text hash of each tool, in catalog order.
        texts: the texts by their hash; equal texts are embedded once.
    """

    fingerprint: str
    rows: tuple[str, ...]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class CatalogVectors:
    """One unit vector for each tool of a catalog, in its order.

    Attributes:
        matrix: float32, tools by dimensions; a row of zeros for a tool whose text can't be embedded.
    """

    fingerprint: str
    model: EmbeddingModel
    matrix: Vectors

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return self.matrix.shape[1]

    def cosines(self, query: Vectors) -> Vectors:
        """The cosine of every tool with a unit vector."""
        return self.matrix @ query


def text_keys(catalog: Catalog, model: EmbeddingModel) -> TextKeys:
    """The texts of a catalog's tools. Takes about 30 microseconds a tool: for a worker thread."""
    texts = [model.document_prefix + tool_text(tool) for tool in catalog.tools]
    rows = tuple(text_hash(text) for text in texts)
    return TextKeys(catalog.fingerprint, rows, dict(zip(rows, texts, strict=True)))


def assemble(keys: TextKeys, model: EmbeddingModel, known: Mapping[str, Vectors]) -> CatalogVectors:
    """Stack the vectors of every tool; a text without one gets zeros, so that its cosine is 0."""
    dimension = max((len(vector) for vector in known.values()), default=1)
    matrix = np.zeros((len(keys.rows), dimension), np.float32)
    for row, key in enumerate(keys.rows):
        if key in known:
            matrix[row] = known[key]
    return CatalogVectors(keys.fingerprint, model, matrix)


def tool_text(tool: Tool) -> str:
    """What is embedded of a tool: server, name in words, description, and the names of its parameters."""
    name = _words(tool.name)
    head = f"{_words(tool.server)}: {name}" if tool.server else name
    if tool.title and tool.title != tool.name:
        head = f"{head} ({tool.title})"
    parameters = ", ".join(map(_words, _parameters(tool)))[:_PARAMETER_CHARS]
    tail = f"\nParameters: {parameters}" if parameters else ""
    description = " ".join(tool.description[: 2 * TEXT_LIMIT].split())
    room = max(0, TEXT_LIMIT - len(head) - len(tail) - 2)
    return plain_text(f"{head}. {description[:room]}{tail}")[: TEXT_LIMIT + _PARAMETER_CHARS]


def query_text(task: str, context: str, model: EmbeddingModel) -> str:
    """What is embedded of a request: the task, then the beginning of its context."""
    said = plain_text(f"{task[:TEXT_LIMIT]}\n{context[:CONTEXT_LIMIT]}")
    return f"{model.query_prefix}{said}" if said else ""


def plain_text(text: str) -> str:
    """The text without what can't be sent or tokenised: lone surrogates and NUL."""
    return text.encode(errors="replace").decode().replace("\0", " ").strip()


def text_hash(text: str) -> str:
    """The key of a text's vector in the store."""
    return hashlib.sha256(text.encode()).hexdigest()


def unit(vectors: Vectors) -> Vectors:
    """The vectors at length one; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def from_bytes(blobs: Mapping[str, bytes]) -> dict[str, Vectors]:
    """Stored vectors; nothing when they differ in length, because some belong to another model then."""
    vectors = {key: np.frombuffer(blob, np.float32) for key, blob in blobs.items()}
    return vectors if len({len(vector) for vector in vectors.values()}) == 1 else {}


def to_bytes(vectors: Mapping[str, Vectors]) -> dict[str, bytes]:
    """Vectors as they are stored."""
    return {key: vector.astype(np.float32).tobytes() for key, vector in vectors.items()}


def _words(identifier: str) -> str:
    return " ".join(_PUNCTUATION.sub(" ", _CAMEL.sub(" ", identifier[:_PARAMETER_CHARS])).split())


def _parameters(tool: Tool) -> list[str]:
    if isinstance(tool.input_schema, bool):
        return []
    properties = tool.input_schema.get("properties")
    return list(map(str, cast("Mapping[str, object]", properties))) if isinstance(properties, Mapping) else []
