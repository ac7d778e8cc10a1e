"""What a start may load: the answer to `initialize` waits for every import of `tool_router.server`."""

from __future__ import annotations

import subprocess
import sys

import pytest

BARE = "from mcp.server.mcpserver import MCPServer; MCPServer('bare')"
"""What any server of the SDK loads, `rich` for its log handler included; only what comes on top is ours."""

HEAVY = [
    "numpy",
    "rapidfuzz",
    "ollama",
    "typer",
    "rich",
    "jsonschema",
    "snowballstemmer",
    "yaml",
    "structlog",
    "cachetools",
    "sqlite3",
    "service_manager",
]


def loaded_by(code: str) -> set[str]:
    """Every module in a process that ran this."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def on_top() -> set[str]:
    """Modules that importing the server loads and a bare server does not, by their first name."""
    extra = loaded_by("import tool_router.server") - loaded_by(BARE)
    return {name.partition(".")[0] for name in extra}


@pytest.mark.parametrize("module", HEAVY)
def test_importing_the_server_leaves_out_what_only_requests_need(on_top: set[str], module: str) -> None:
    assert module not in on_top


def test_importing_the_server_loads_no_library_that_a_bare_server_does_not(on_top: set[str]) -> None:
    assert on_top - sys.stdlib_module_names == {"tool_router"}


def test_importing_the_server_prints_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tool_router.server"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("", "")
