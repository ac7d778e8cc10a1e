"""What a start may load: the answer to `initialize` waits for every import of `tool_router.server`."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    "numpy",
    "rapidfuzz",
    "ollama",
    "typer",
    "jsonschema",
    "snowballstemmer",
    "yaml",
    "structlog",
]


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Top-level names of every module in the process after the import."""
    code = "import sys, tool_router.server; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", HEAVY)
def test_importing_the_server_leaves_out_what_only_requests_need(loaded: set[str], module: str) -> None:
    assert module not in loaded


def test_the_import_really_happened(loaded: set[str]) -> None:
    assert {"tool_router", "mcp"} <= loaded


def test_importing_the_server_prints_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tool_router.server"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("", "")
