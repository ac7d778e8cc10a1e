"""Where each client's file is, and what an entry looks like there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tool_router.errors import InstallError
from tool_router.install.clients import SCOPES, Client, Location, Machine, Scope, entry, locate

HOME = Path("/home/ada")
PROJECT = Path("/srv/project")


def machine(platform: str = "linux", **environ: str) -> Machine:
    return Machine(platform, HOME, environ, PROJECT)


@pytest.mark.parametrize(
    ("client", "scope", "platform", "file", "section"),
    [
        (
            "claude-desktop",
            "user",
            "darwin",
            "Library/Application Support/Claude/claude_desktop_config.json",
            "mcpServers",
        ),
        ("claude-desktop", "user", "linux", ".config/Claude/claude_desktop_config.json", "mcpServers"),
        (
            "claude-desktop",
            "user",
            "win32",
            "AppData/Roaming/Claude/claude_desktop_config.json",
            "mcpServers",
        ),
        ("claude-code", "user", "linux", ".claude.json", "mcpServers"),
        ("claude-code", "local", "linux", ".claude.json", "projects//srv/project/mcpServers"),
        ("claude-code", "project", "linux", "/srv/project/.mcp.json", "mcpServers"),
        ("cursor", "user", "darwin", ".cursor/mcp.json", "mcpServers"),
        ("cursor", "project", "linux", "/srv/project/.cursor/mcp.json", "mcpServers"),
        ("vscode", "user", "linux", ".config/Code/User/mcp.json", "servers"),
        ("vscode", "user", "darwin", "Library/Application Support/Code/User/mcp.json", "servers"),
        ("vscode", "project", "linux", "/srv/project/.vscode/mcp.json", "servers"),
    ],
)
def test_each_clients_file_is_where_the_client_reads_it(
    client: str, scope: str, platform: str, file: str, section: str
) -> None:
    found = locate(Client(client), Scope(scope), machine(platform))
    assert found.file == HOME / file
    assert "/".join(found.section) == section


def test_directories_named_by_the_environment_count() -> None:
    named = machine(XDG_CONFIG_HOME="/etc/ada", CLAUDE_CONFIG_DIR="/opt/claude")
    assert locate(Client.VSCODE, Scope.USER, named).file == Path("/etc/ada/Code/User/mcp.json")
    assert locate(Client.CLAUDE_CODE, Scope.USER, named).file == Path("/opt/claude/.claude.json")
    roaming = machine("win32", APPDATA="/d/roaming")
    assert locate(Client.CLAUDE_DESKTOP, Scope.USER, roaming).file.parent == Path("/d/roaming/Claude")
    relative = machine(XDG_CONFIG_HOME="not/absolute")
    assert locate(Client.VSCODE, Scope.USER, relative).file == HOME / ".config/Code/User/mcp.json"


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_a_client_lacks_is_refused_with_those_it_has(client: Client, scope: Scope) -> None:
    if scope in SCOPES[client]:
        assert isinstance(locate(client, scope, machine()), Location)
        return
    with pytest.raises(InstallError) as caught:
        locate(client, scope, machine())
    assert "--scope user" in caught.value.next_step


@pytest.mark.parametrize("client", list(Client))
def test_an_entry_starts_the_command_over_stdio(client: Client) -> None:
    expected = {"command": "/opt/python", "args": ["-m", "tool_router"]}
    if client is not Client.CLAUDE_DESKTOP:
        expected = {"type": "stdio", **expected}
    assert entry(client, ("/opt/python", "-m", "tool_router"), {}) == expected


@pytest.mark.parametrize(
    ("client", "reference"),
    [
        ("claude-code", "${GATEWAY_TOKEN}"),
        ("cursor", "${env:GATEWAY_TOKEN}"),
        ("vscode", "${env:GATEWAY_TOKEN}"),
    ],
)
def test_variables_are_written_or_referred_to_in_the_clients_syntax(client: str, reference: str) -> None:
    made = entry(Client(client), ("/opt/r",), {"GATEWAY_URL": "http://127.0.0.1:4444", "GATEWAY_TOKEN": None})
    assert made["env"] == {"GATEWAY_URL": "http://127.0.0.1:4444", "GATEWAY_TOKEN": reference}


def test_a_client_without_references_asks_for_the_value() -> None:
    with pytest.raises(InstallError) as caught:
        entry(Client.CLAUDE_DESKTOP, ("/opt/r",), {"GATEWAY_TOKEN": None})
    assert "--env GATEWAY_TOKEN=VALUE" in caught.value.next_step
