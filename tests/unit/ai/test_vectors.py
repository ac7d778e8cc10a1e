from __future__ import annotations

import time

import numpy as np
import pytest

from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.ai.provider import EmbeddingModel
from tool_router.ai.vectors import (
    TEXT_LIMIT,
    CatalogVectors,
    assemble,
    from_bytes,
    joined,
    query_texts,
    text_keys,
    to_bytes,
    tool_texts,
    unit,
)
from tool_router.scoring.rank import order_of

MODEL = EmbeddingModel("m:latest", "m@1", "query: ", "document: ")


def test_a_tool_is_embedded_whole_without_its_server_by_its_gist_and_by_its_parameters() -> None:
    tool = a_tool(
        "createIssue",
        "git-hub",
        "Open a\n  new   issue. Needs a token.",
        title="New issue",
        input_schema={"properties": {"repo_name": {"description": "where it is"}, "bodyText": {}}},
    )
    assert tool_texts(tool) == (
        "git hub create Issue (New issue): Open a new issue. Needs a token.",
        "create Issue (New issue): Open a new issue. Needs a token.",
        "Open a new issue.",
        "create Issue: repo name: where it is; body Text:",
    )


@pytest.mark.parametrize("schema", [True, False, {}, {"properties": []}, {"properties": None}])
def test_a_schema_without_parameters_leaves_the_name(schema: dict[str, object] | bool) -> None:
    assert tool_texts(a_tool("one", input_schema=schema))[-1] == "one:"


def test_every_text_is_bounded_and_can_be_sent() -> None:
    huge = {"properties": {f"parameter_{number}": True for number in range(10_000)}}
    texts = tool_texts(a_tool("n" * 5000, "s" * 5000, "lone \ud800 and nul \0 " * 50_000, input_schema=huge))
    assert "parameter 0" in texts[-1]
    for text in texts:
        assert len(text) <= TEXT_LIMIT
        text.encode()
        assert "\0" not in text


def test_a_query_is_the_task_with_its_context_the_task_without_values_and_its_last_sentence() -> None:
    texts = query_texts(" open 'notes.md' from 2024. Now! ", "in Paris", MODEL)
    whole, bare, closing = texts
    assert whole == "query: open 'notes.md' from 2024. Now! \nin Paris"
    assert bare.startswith("query: open")
    assert "notes" not in bare
    assert "2024" not in bare
    assert closing == "query: Now!"
    assert list(texts.values()) == [1.0, 1.0, 0.75]


def test_equal_texts_of_a_query_are_one_that_counts_as_much_as_all() -> None:
    assert query_texts("find it", "", MODEL) == {"query: find it": 2.75}
    assert query_texts("  \0 ", "", MODEL) == {}
    assert all(len(text) < 1500 for text in query_texts("x" * 1_000_000, "y" * 1_000_000, MODEL))


def test_a_request_is_the_weighted_mean_of_its_texts_at_length_one() -> None:
    embedded = np.array([[2, 0], [0, 7]], np.float32)
    assert joined(embedded, {"a": 3.0, "b": 4.0}).tolist() == pytest.approx([0.6, 0.8])


def test_equal_texts_are_embedded_once() -> None:
    twin = a_tool("one", description="same")
    keys = text_keys(a_catalog(twin, a_tool("two"), twin), MODEL)
    assert keys.rows[0] == keys.rows[2]
    assert set(keys.texts) == {*keys.rows[0], *keys.rows[1]}
    assert all(text.startswith("document: ") for text in keys.texts.values())


def test_the_matrix_has_the_order_of_the_catalog_and_zeros_where_a_vector_is_missing() -> None:
    keys = text_keys(a_catalog(a_tool("a"), a_tool("b"), a_tool("c")), MODEL)
    one, other = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    vectors = assemble(keys, MODEL, dict.fromkeys(keys.rows[0], one) | dict.fromkeys(keys.rows[2], other))
    scores = vectors.cosines(np.array([0.6, 0.8], np.float32))
    assert scores[2] > scores[0] > 0
    assert scores[1] == 0.0
    assert np.linalg.norm(vectors.matrix, axis=1).tolist() == pytest.approx([1, 0, 1])


def test_an_empty_catalog_has_no_cosines() -> None:
    vectors = assemble(text_keys(a_catalog(), MODEL), MODEL, {})
    assert vectors.matrix.shape[0] == 0


def test_vectors_survive_their_bytes() -> None:
    vectors = {"a": np.array([0.25, -1], np.float32), "b": np.array([3, 4], np.float32)}
    assert {key: value.tolist() for key, value in from_bytes(to_bytes(vectors)).items()} == {
        "a": [0.25, -1.0],
        "b": [3.0, 4.0],
    }


def test_stored_vectors_of_different_lengths_are_not_trusted() -> None:
    vectors = {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)}
    assert from_bytes(to_bytes(vectors)) == {}


def test_unit_vectors_have_length_one_and_zeros_stay() -> None:
    assert unit(np.array([[3, 4], [0, 0]], np.float32)).tolist() == [
        pytest.approx([0.6, 0.8]),
        [0.0, 0.0],
    ]


@pytest.mark.alone
def test_searching_ten_thousand_tools_costs_little_more_than_their_product_with_the_query() -> None:
    """A product of this size takes about a millisecond: the ratio holds on a busy machine, too."""
    rng = np.random.default_rng(7)
    vectors = CatalogVectors("f", MODEL, unit(rng.standard_normal((10_000, 384), np.float32)))
    query = vectors.matrix[1234]
    plain: list[float] = []
    searched: list[float] = []
    for _ in range(40):
        started = time.perf_counter()
        _ = vectors.matrix @ query
        plain.append(time.perf_counter() - started)
        started = time.perf_counter()
        scores = vectors.cosines(query)
        best = order_of(scores, None, 10)
        searched.append(time.perf_counter() - started)
        assert int(best[0]) == 1234
    assert min(searched) < 4 * min(plain)
