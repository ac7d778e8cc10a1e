"""A client of SDK 1.x, in an environment of its own, uses the router like any other server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.surface.conftest import ROOT, RouterHome

pytestmark = pytest.mark.slow

CLIENT = ROOT / "tests" / "support" / "clients" / "sdk1_client.py"
DELETE = {"task": 'delete the item name "old"', "tool": "delete_item"}


@pytest.fixture(scope="module")
def sdk1_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the last SDK of version 1."""
    directory = tmp_path_factory.mktemp("sdk1")
    python = directory / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True, timeout=120)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "mcp<2"]
    subprocess.run(install, check=True, timeout=300)
    return python


def seen_by(
    python: Path, home: RouterHome, *calls: dict[str, Any], elicit: str | None = None
) -> dict[str, Any]:
    """What the client saw while it made the calls."""
    plan = {"command": home.command, "env": home.environ, "calls": calls, "elicit": elicit}
    done = subprocess.run(
        [str(python), str(CLIENT)],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_it_sees_one_tool_and_gets_texts_images_and_progress(
    sdk1_python: Path, router_home: RouterHome
) -> None:
    seen = seen_by(
        sdk1_python,
        router_home,
        {"task": 'echo back the message "hello there"'},
        {"task": "x", "tool": "picture", "arguments": {}},
        {"task": "x", "tool": "steps", "arguments": {}},
        {"task": "x", "tool": "ehco"},
        {"task": "x", "tool": "echo", "arguments": {"message": "still here"}},
    )

    echoed, picture, _, unknown, after = seen["results"]
    assert seen["protocol"] == "2025-11-25"
    assert [tool["name"] for tool in seen["tools"]] == ["execute_task"]
    assert echoed["content"][0]["text"] == "echo: hello there"
    assert echoed["_meta"]["tool-router/decision"]["tool"] == "faulty::echo"
    assert (picture["content"][0]["type"], picture["content"][0]["mimeType"]) == ("image", "image/png")
    assert seen["progress"][-2:] == ["half", "all"]
    assert unknown["isError"]
    assert "faulty::echo" in unknown["content"][0]["text"]
    assert after["content"][0]["text"] == "echo: still here"


@pytest.mark.parametrize(
    ("elicit", "status", "questions"),
    [("accept", "executed", 1), ("decline", "declined", 1), (None, "confirm", 0)],
)
def test_a_destructive_call_is_asked_about_where_it_can_be(
    sdk1_python: Path, router_home: RouterHome, elicit: str | None, status: str, questions: int
) -> None:
    seen = seen_by(sdk1_python, router_home, DELETE, elicit=elicit)

    (result,) = seen["results"]
    assert result["_meta"]["tool-router/decision"]["status"] == status
    assert len(seen["questions"]) == questions
    assert not result["isError"]
