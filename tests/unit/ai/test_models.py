from __future__ import annotations

import pytest

from tool_router.ai.families import CHAT_FAMILIES, FAMILIES, REASONING_FAMILIES, SUGGESTED_CHAT, base_name
from tool_router.ai.hardware import GB, Hardware
from tool_router.ai.models import Pulled, Use, choose_chat, choose_embedding, described, undecided

ORDINARY = Hardware(16 * GB, 4)
"""The box the project is measured for: 16 GB, four cores, no GPU."""

WORKSTATION = Hardware(64 * GB, 16, vram_bytes=12 * GB)
SMALL = Hardware(2 * GB, 1)

MINILM = Pulled("all-minilm:latest", "aa", 46_000_000, "23M")
NOMIC = Pulled("nomic-embed-text:v1.5", "bb", 274_000_000, "137M")
BGE = Pulled("BGE-M3:latest", "cc", 1_200_000_000, "566.70M")
QWEN_EMBED = Pulled("qwen3-embedding:8b", "dd", 4_700_000_000, "7.6B", frozenset({"embedding"}))
TINY = Pulled("qwen2.5:0.5b", "d0", 398_000_000, "494.03M")
LLAMA = Pulled("llama3.2:1b", "d1", 1_300_000_000, "1.2B")
EIGHT = Pulled("llama3.1:8b", "d2", 4_900_000_000, "8.0B")
SEVENTY = Pulled("llama3.3:70b", "d3", 43_000_000_000, "70.6B")
THINKER = Pulled("deepseek-r1:1.5b", "d4", 1_100_000_000, "1.8B")


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
    choice = choose_embedding([NOMIC, BGE], ORDINARY, 0.5, wanted)
    assert (choice.chosen.name if choice.chosen else None) == found
    assert choice.better == ("" if found else f"ollama pull {wanted}")


def test_a_configured_model_is_taken_whatever_the_hardware() -> None:
    choice = choose_chat([TINY, SEVENTY], SMALL, 4.0, "llama3.3:70b")
    assert choice.chosen is SEVENTY
    assert choice.why == "it is the configured one"


def test_without_a_wish_the_first_known_embedding_family_is_taken_and_the_others_say_why_not() -> None:
    choice = choose_embedding([BGE, NOMIC, MINILM, LLAMA], ORDINARY, 0.5)
    assert choice.use is Use.EMBEDDING
    assert choice.chosen is MINILM
    assert choice.better == ""
    assert [(model.name, model.why) for model in choice.rejected] == [
        (NOMIC.name, "all-minilm:latest answers sooner"),
        (BGE.name, "all-minilm:latest answers sooner"),
    ]


def test_a_slower_embedding_model_is_used_and_the_faster_one_suggested() -> None:
    choice = choose_embedding([BGE], ORDINARY, 0.5)
    assert choice.chosen is BGE
    assert choice.better == "ollama pull all-minilm"


def test_an_embedding_model_too_large_for_a_request_is_rejected_with_the_time_it_would_take() -> None:
    choice = choose_embedding([QWEN_EMBED], ORDINARY, 0.5)
    assert choice.chosen is None
    assert choice.rejected[0].why == "it would take about 1.7 s, longer than 0.5 s"
    assert choice.better == "ollama pull all-minilm"
    assert choose_embedding([QWEN_EMBED], WORKSTATION, 0.5).chosen is QWEN_EMBED


def test_nothing_pulled_is_no_model_and_the_command_that_pulls_one() -> None:
    embedding, chat = choose_embedding([], ORDINARY, 0.5), choose_chat([], ORDINARY, 4.0)
    assert (embedding.chosen, embedding.why) == (None, "no embedding model is pulled")
    assert embedding.better == "ollama pull all-minilm"
    assert (chat.chosen, chat.why) == (None, "no chat model is pulled")


def test_an_ordinary_box_without_a_gpu_judges_with_a_model_of_about_a_billion_parameters() -> None:
    choice = choose_chat([EIGHT, TINY, SEVENTY, LLAMA, THINKER, MINILM], ORDINARY, 4.0)
    assert choice.chosen is LLAMA
    assert "about 4.0 s" in choice.why
    why = {model.name: model.why for model in choice.rejected}
    assert why[EIGHT.name] == "it would take about 26.7 s, longer than 4 s"
    assert why[SEVENTY.name] == "it needs 43.5 GB of 8.0 GB"
    assert why[TINY.name] == "llama3.2:1b is the better judge"
    assert why[THINKER.name] == "it thinks before it answers, which takes too long"
    assert MINILM.name not in why


def test_an_ordinary_box_without_a_chat_model_is_told_to_pull_one_it_can_carry() -> None:
    assert choose_chat([MINILM], ORDINARY, 4.0).better == "ollama pull qwen2.5:0.5b"


def test_a_gpu_carries_the_larger_model_and_the_large_one_still_not() -> None:
    choice = choose_chat([EIGHT, TINY, SEVENTY], WORKSTATION, 4.0)
    assert choice.chosen is EIGHT
    assert choose_chat([TINY], WORKSTATION, 4.0).better == "ollama pull qwen2.5:7b"


def test_a_machine_too_slow_for_any_judge_says_so_and_suggests_none() -> None:
    choice = choose_chat([LLAMA], SMALL, 1.0)
    assert choice.chosen is None
    assert choice.why == "no pulled chat model can be used here, and none would be fast enough"
    assert choice.better == ""


def test_a_chat_model_of_an_unknown_family_counts_when_its_host_says_so() -> None:
    mine = Pulled("my-own:latest", "ee", 400_000_000, "500M")
    assert choose_chat([mine], ORDINARY, 4.0).chosen is None
    assert list(undecided(Use.CHAT, [mine, TINY, THINKER, NOMIC])) == [mine]
    can = Pulled("my-own:latest", "ee", 400_000_000, "500M", frozenset({"completion"}))
    assert choose_chat([can], ORDINARY, 4.0).chosen is can
    assert choose_chat([can, TINY], ORDINARY, 4.0).chosen is TINY


@pytest.mark.parametrize(
    ("size", "parameters", "billions"),
    [
        (0, "494.03M", 0.49403),
        (0, "7.6B", 7.6),
        (620_000_000, "", 1.0),
        (620_000_000, "unknown", 1.0),
        (0, "", 0),
    ],
)
def test_a_models_parameters_are_read_or_estimated_from_its_size(
    size: int, parameters: str, billions: float
) -> None:
    assert Pulled("m", "", size, parameters).billions == pytest.approx(billions)


def test_the_same_name_with_other_weights_has_another_key() -> None:
    assert described(Pulled("bge-m3:latest", "aa")).key != described(Pulled("bge-m3:latest", "bb")).key


def test_a_family_brings_the_prefixes_of_its_model_card() -> None:
    nomic = described(Pulled("someone/nomic-embed-text:latest"))
    assert nomic.query_prefix == "search_query: "
    assert nomic.document_prefix == "search_document: "
    assert described(Pulled("unheard-of:latest")).query_prefix == ""


def test_no_family_is_listed_twice() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert not CHAT_FAMILIES & REASONING_FAMILIES
    assert {base_name(suggestion.name) for suggestion in SUGGESTED_CHAT} <= CHAT_FAMILIES
