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
from tool_router.scoring.text import without_values

TEXT_LIMIT = 1_000
"""Characters of one text. Small embedding models read 256 to 512 tokens, about 1,000 to 2,000 characters."""

CONTEXT_LIMIT = 300
FULL_WEIGHT = 2.0
GIST_WEIGHT = 1.0
"""The full text names server and parameters, the gist only what the tool does; chosen on the dev data."""
CENTRED_FROM = 20
"""Tools from which on the mean is mostly what the model says of every tool."""
_NUMBER = re.compile(r"\b\d[\d.,:/-]*\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s")
_PARAMETER_CHARS = 200
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PUNCTUATION = re.compile(r"[_\-./:]+")


@dataclass(frozen=True, slots=True)
class TextKeys:
    """What must be embedded of a catalog with a model.

    Attributes:
        fingerprint: the catalog's.
        rows: the hashes of each tool's full text and of its gist, in catalog order.
        texts: the texts by their hash; equal texts are embedded once.
    """

    fingerprint: str
    rows: tuple[tuple[str, str], ...]
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
        return dots(self.matrix, query)


def text_keys(catalog: Catalog, model: EmbeddingModel) -> TextKeys:
    """The texts of a catalog's tools. Takes about 30 microseconds a tool: for a worker thread."""
    texts: dict[str, str] = {}
    rows: list[tuple[str, str]] = []
    for tool in catalog.tools:
        full, gist = (model.document_prefix + text for text in (tool_text(tool), tool_gist(tool)))
        row = (text_hash(full), text_hash(gist))
        texts |= zip(row, (full, gist), strict=True)
        rows.append(row)
    return TextKeys(catalog.fingerprint, tuple(rows), texts)


def assemble(keys: TextKeys, model: EmbeddingModel, known: Mapping[str, Vectors]) -> CatalogVectors:
    """Join the vectors of every tool; one whose texts have none gets zeros, so that its cosine is 0.

    What all tools of a catalog share tells none of them apart, so their mean is taken off; less of it in a
    small catalog, whose mean is its subject.
    """
    dimension = max((len(vector) for vector in known.values()), default=1)
    matrix = np.zeros((len(keys.rows), dimension), np.float32)
    for row, hashes in enumerate(keys.rows):
        for key, weight in zip(hashes, (FULL_WEIGHT, GIST_WEIGHT), strict=True):
            if key in known:
                matrix[row] += weight * known[key]
    matrix = unit(matrix)
    present = matrix.any(axis=1)
    if present.any():
        share = len(matrix) / (len(matrix) + CENTRED_FROM)
        matrix[present] -= share * matrix[present].mean(axis=0)
    return CatalogVectors(keys.fingerprint, model, unit(matrix))


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


def tool_gist(tool: Tool) -> str:
    """The first sentence of the description; the name in words where there is none."""
    first = _SENTENCE.split(" ".join(tool.description[:TEXT_LIMIT].split()), maxsplit=1)[0]
    return plain_text(first) or _words(tool.name)


def query_texts(task: str, context: str, model: EmbeddingModel) -> tuple[str, ...]:
    """What is embedded of a request: the task with the beginning of its context, and the task without values.

    Names, paths and numbers in a task pull its vector towards tools that speak of such things; the second
    text has none. The first alone where both are the same, nothing for an empty request.
    """
    said = plain_text(f"{task[:TEXT_LIMIT]}\n{context[:CONTEXT_LIMIT]}")
    bare = plain_text(" ".join(_NUMBER.sub(" ", without_values(task[:TEXT_LIMIT])).split()))
    found = dict.fromkeys(text for text in (said, bare) if text)
    return tuple(f"{model.query_prefix}{text}" for text in found)


def plain_text(text: str) -> str:
    """The text without what can't be sent or tokenised: lone surrogates and NUL."""
    return text.encode(errors="replace").decode().replace("\0", " ").strip()


def text_hash(text: str) -> str:
    """The key of a text's vector in the store."""
    return hashlib.sha256(text.encode()).hexdigest()


def dots(matrix: Vectors, vector: Vectors) -> Vectors:
    """The product of every row with a vector.

    Not by BLAS, which spreads even this over every core and then waits for them: 8 ms instead of 0.2 on a
    machine whose cores are busy. One core does 10,000 rows of 384 in about a millisecond.
    """
    return np.einsum("ij,j->i", matrix, vector)


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
