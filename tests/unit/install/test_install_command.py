"""`tool-router install` as a person runs it, in a home directory of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from tool_router.cli.install import register
from tool_router.install.launch import own_command

CONFIG = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
}

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="expects the paths of Linux")


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.callback()(lambda: None)
    register(made)
    return made


def run(app: typer.Typer, home: Path, *words: str) -> Result:
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": "", "CLAUDE_CONFIG_DIR": "", "TERM": "dumb"}
    return CliRunner().invoke(app, ["install", *words], env=environ)


def facts(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def servers(home: Path, client: str) -> dict[str, Any]:
    section = "servers" if client == "vscode" else "mcpServers"
    return json.loads((home / CONFIG[client]).read_text())[section]


@pytest.mark.parametrize("client", list(CONFIG))
def test_it_writes_undoes_and_repeats_for_every_client(app: typer.Typer, tmp_path: Path, client: str) -> None:
    result = run(app, tmp_path, client)
    assert result.exit_code == 0, result.output
    assert str(tmp_path / CONFIG[client]) in result.stdout
    entry = servers(tmp_path, client)["tool-router"]
    assert (entry["command"], *entry["args"]) == own_command()
    assert Path(entry["command"]).is_absolute()
    assert "already" in run(app, tmp_path, client).stdout
    assert run(app, tmp_path, client, "--undo").exit_code == 0
    assert not (tmp_path / CONFIG[client]).exists()


def test_what_was_written_starts_the_router(app: typer.Typer, tmp_path: Path) -> None:
    run(app, tmp_path, "claude-desktop")
    entry = servers(tmp_path, "claude-desktop")["tool-router"]
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    environ = {"HOME": str(tmp_path), "PATH": os.defpath, "TOOL_ROUTER_HOME": str(tmp_path / "router")}
    answered = subprocess.run(
        [entry["command"], *entry["args"]],
        input=json.dumps(hello) + "\n",
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(answered.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "tool-router"


def test_a_dry_run_shows_the_difference_and_writes_nothing(app: typer.Typer, tmp_path: Path) -> None:
    result = run(app, tmp_path, "cursor", "--dry-run")
    assert '+    "tool-router": {' in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_json_says_what_was_done(app: typer.Typer, tmp_path: Path) -> None:
    planned = facts(run(app, tmp_path, "vscode", "--dry-run", "--json"))
    assert (planned["action"], planned["changed"], planned["dry_run"]) == ("added", False, True)
    done = facts(run(app, tmp_path, "vscode", "--json", "--env", "GATEWAY_URL=http://127.0.0.1:4444"))
    assert (done["action"], done["changed"], done["backup"]) == ("added", True, None)
    assert done["entry"]["env"] == {"GATEWAY_URL": "http://127.0.0.1:4444"}
    undone = facts(run(app, tmp_path, "vscode", "--json", "--undo"))
    assert (undone["action"], undone["entry"]) == ("removed", None)
    assert Path(undone["backup"]).is_file()


def test_project_and_local_scopes_and_names(app: typer.Typer, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    shared = run(
        app, tmp_path, "claude-code", "--scope", "project", "--project", str(project), "--name", "tr"
    )
    assert "this machine's path" in shared.stdout
    assert list(json.loads((project / ".mcp.json").read_text())["mcpServers"]) == ["tr"]
    run(app, tmp_path, "claude-code", "--scope", "local", "--project", str(project))
    local = json.loads((tmp_path / ".claude.json").read_text())["projects"][str(project)]["mcpServers"]
    assert list(local) == ["tool-router"]


def test_another_file_can_be_named(app: typer.Typer, tmp_path: Path) -> None:
    other = tmp_path / "insiders" / "mcp.json"
    run(app, tmp_path, "vscode", "--file", str(other))
    assert "tool-router" in json.loads(other.read_text())["servers"]


def test_a_broken_file_ends_with_words_and_not_with_a_traceback(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / CONFIG["cursor"]
    file.parent.mkdir()
    file.write_text('{"mcpServers": {,}}')
    result = run(app, tmp_path, "cursor")
    assert result.exit_code == 1
    assert "line 1, column 17" in result.stderr
    assert '"tool-router"' in result.stderr
    assert file.read_text() == '{"mcpServers": {,}}'


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("claude-desktop", "--scope", "project"), "--scope user"),
        (("claude-desktop", "--env", "GATEWAY_TOKEN"), "GATEWAY_TOKEN=VALUE"),
        (("cursor", "--env", "=x"), "NAME=VALUE"),
        (("cursor", "--env", "A B=x"), "NAME=VALUE"),
        (("cursor", "--name", " "), "--name"),
        (("emacs",), "claude-desktop"),
    ],
)
def test_wrong_use_is_explained_and_writes_nothing(
    app: typer.Typer, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    result = run(app, tmp_path, *words)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []
