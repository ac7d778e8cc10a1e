"""The vectors of one catalog: what is embedded of a tool, and the matrix that scores a query."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

import numpy as np

from tool_router.ai.provider import EmbeddingModel, Vectors
from tool_router.catalog.model import Catalog, Tool
from tool_router.scoring.text import without_values

TEXT_LIMIT = 1_000
"""Characters of one text. Small embedding models read 256 to 512 tokens, about 1,000 to 2,000 characters."""

CONTEXT_LIMIT = 300
TOOL_WEIGHTS = (1.0, 0.75, 1.25, 1.75)
"""What each of `tool_texts` counts in a tool's vector; chosen on the dev data (docs/selection.md)."""
CLOSING_WEIGHT = 0.75
"""What the last sentence of a task counts beside the whole: the question often stands there."""
CENTRED_FROM = 10
"""Tools from which on the mean is mostly what the model says of every tool."""
_NUMBER = re.compile(r"\b\d[\d.,:/-]*\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s")
_NAME_CHARS = 200
_PARAMETER_CHARS = 80
_PARAMETERS_CHARS = 500
_MOST_PARAMETERS = 100
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PUNCTUATION = re.compile(r"[_\-./:]+")


@dataclass(frozen=True, slots=True)
class TextKeys:
    """What must be embedded of a catalog with a model.

    Attributes:
        fingerprint: the catalog's.
        rows: the hashes of each tool's texts, as `tool_texts` orders them, in catalog order.
        texts: the texts by their hash; equal texts are embedded once.
    """

    fingerprint: str
    rows: tuple[tuple[str, ...], ...]
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
    """The texts of a catalog's tools. Takes about 70 microseconds a tool: for a worker thread."""
    texts: dict[str, str] = {}
    rows: list[tuple[str, ...]] = []
    for tool in catalog.tools:
        of_tool = [model.document_prefix + text for text in tool_texts(tool)]
        row = tuple(map(text_hash, of_tool))
        texts |= zip(row, of_tool, strict=True)
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
        for key, weight in zip(hashes, TOOL_WEIGHTS, strict=True):
            if key in known:
                matrix[row] += weight * known[key]
    matrix = unit(matrix)
    present = matrix.any(axis=1)
    if present.any():
        share = len(matrix) / (len(matrix) + CENTRED_FROM)
        matrix[present] -= share * matrix[present].mean(axis=0)
    return CatalogVectors(keys.fingerprint, model, unit(matrix))


def tool_texts(tool: Tool) -> tuple[str, str, str, str]:
    """What is embedded of a tool, each a view of it that a task may come close to.

    The whole with its server, the same without, the gist (the first sentence, or the name), and the
    parameters with what is said of them.
    """
    name = _words(tool.name)
    title = f" ({tool.title[:_NAME_CHARS]})" if tool.title and tool.title != tool.name else ""
    description = plain_text(" ".join(tool.description[: 2 * TEXT_LIMIT].split()))[:TEXT_LIMIT]
    gist = _SENTENCE.split(description, maxsplit=1)[0]
    parameters = "; ".join(_parameters(tool))[:_PARAMETERS_CHARS]
    return (
        plain_text(f"{_words(tool.server)} {name}{title}: {description}")[:TEXT_LIMIT],
        plain_text(f"{name}{title}: {description}")[:TEXT_LIMIT],
        gist or name,
        plain_text(f"{name}: {parameters}"),
    )


def query_texts(task: str, context: str, model: EmbeddingModel) -> Mapping[str, float]:
    """What is embedded of a request, each with what it counts; nothing for an empty request.

    The task with the beginning of its context, the task without values (names, paths and numbers in a task
    pull its vector towards tools that speak of such things), and its last sentence. Equal texts are one.
    """
    said = plain_text(f"{task[:TEXT_LIMIT]}\n{context[:CONTEXT_LIMIT]}")
    bare = plain_text(" ".join(_NUMBER.sub(" ", without_values(task[:TEXT_LIMIT])).split()))
    sentences = _SENTENCE.split(" ".join(task[-TEXT_LIMIT:].split()))
    closing = plain_text(next((sentence for sentence in reversed(sentences) if sentence.strip()), ""))
    found: dict[str, float] = {}
    for text, weight in ((said, 1.0), (bare or said, 1.0), (closing or said, CLOSING_WEIGHT)):
        if text:
            key = f"{model.query_prefix}{text}"
            found[key] = found.get(key, 0.0) + weight
    return found


def joined(embedded: Vectors, texts: Mapping[str, float]) -> Vectors:
    """The unit vector of a request, from the vectors of its `query_texts` in their order."""
    weights = np.fromiter(texts.values(), np.float32, len(texts))
    return unit((unit(embedded) * weights[:, None]).sum(axis=0, keepdims=True))[0]


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
    return " ".join(_PUNCTUATION.sub(" ", _CAMEL.sub(" ", identifier[:_NAME_CHARS])).split())


def _parameters(tool: Tool) -> Iterator[str]:
    """The parameters in words: "name: its description"."""
    if isinstance(tool.input_schema, bool):
        return
    properties = tool.input_schema.get("properties")
    if not isinstance(properties, Mapping):
        return
    for name, schema in islice(cast("Mapping[object, object]", properties).items(), _MOST_PARAMETERS):
        said = cast("Mapping[str, object]", schema).get("description") if isinstance(schema, Mapping) else ""
        yield f"{_words(str(name))}: {str(said or '')[:_PARAMETER_CHARS]}"
