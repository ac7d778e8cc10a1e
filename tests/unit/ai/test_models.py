from __future__ import annotations

import pytest

from tool_router.ai.models import FAMILIES, Pulled, configured, described, preferred

PULLED = [
    Pulled("llama3.2:latest", "aa"),
    Pulled("nomic-embed-text:v1.5", "bb"),
    Pulled("BGE-M3:latest", "cc"),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("nomic-embed-text:v1.5", "nomic-embed-text:v1.5"),
        ("bge-m3", "BGE-M3:latest"),
        ("bge-m3:latest", "BGE-M3:latest"),
        ("nomic-embed-text", None),
        ("absent", None),
    ],
)
def test_the_configured_model_is_taken_by_its_name_and_tag(wanted: str, found: str | None) -> None:
    model = configured(wanted, PULLED)
    assert (model.name if model else None) == found


def test_without_a_wish_the_first_known_family_is_taken() -> None:
    model = preferred([*PULLED, Pulled("someone/all-minilm:33m")])
    assert model is not None
    assert model.name == "someone/all-minilm:33m"


def test_no_known_family_is_no_model() -> None:
    assert preferred(PULLED[:1]) is None
    assert preferred([]) is None


def test_the_same_name_with_other_weights_has_another_key() -> None:
    assert described(Pulled("bge-m3:latest", "aa")).key != described(Pulled("bge-m3:latest", "bb")).key


def test_a_family_brings_the_prefixes_of_its_model_card() -> None:
    nomic = described(Pulled("nomic-embed-text:latest"))
    assert nomic.query_prefix == "search_query: "
    assert nomic.document_prefix == "search_document: "
    assert described(Pulled("unheard-of:latest")).query_prefix == ""


def test_no_family_is_listed_twice() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
