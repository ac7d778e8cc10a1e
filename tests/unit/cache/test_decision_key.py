"""The key of a decision: the same for the same request, another for anything that matters."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from tool_router.cache.decision_key import DecisionKey, normalised

KEY = DecisionKey("read a file", "in /data", ("gpu", "eu"), "eu-1", "hybrid", "f1", "p1", ("minilm", "llama"))


@pytest.mark.parametrize(
    "change",
    [
        {"task": "read a File"},
        {"context": "in /other"},
        {"labels": ("gpu",)},
        {"region": "us-1"},
        {"strategy": "random"},
        {"catalog": "f2"},
        {"policy": "p2"},
        {"models": ("llama", "minilm")},
        {"models": ("minilm",)},
        {"task": "read a file in", "context": "/data"},
        {"labels": ("gpu", "eu", "minilm"), "models": ("llama",)},
        {"region": "eu-1hybrid", "strategy": ""},
    ],
)
def test_whatever_a_ranking_depends_on_changes_the_key(change: dict[str, Any]) -> None:
    assert replace(KEY, **change).digest != KEY.digest


@pytest.mark.parametrize(
    "change",
    [
        {"task": "  read\ta  file\n"},
        {"context": "in  /data"},
        {"labels": ("eu", "gpu")},
    ],
)
def test_what_makes_no_difference_does_not(change: dict[str, Any]) -> None:
    assert replace(KEY, **change).digest == KEY.digest


def test_composed_and_decomposed_letters_are_the_same_task() -> None:
    assert normalised("cafe\u0301") == normalised("caf\u00e9")


def test_a_task_with_half_a_character_has_a_key() -> None:
    assert len(replace(KEY, task="odd \ud800 text").digest) == 64


def test_another_process_gives_the_same_key() -> None:
    code = (
        "from tool_router.cache.decision_key import DecisionKey;"
        "print(DecisionKey('read a file', 'in /data', ('eu', 'gpu'), 'eu-1', 'hybrid', 'f1', 'p1',"
        " ('minilm', 'llama')).digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == KEY.digest
