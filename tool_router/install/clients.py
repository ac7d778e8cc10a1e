"""Where each MCP client keeps its configuration, and what an entry looks like there. Pure.

Sources, read in 2026: the Model Context Protocol's user quickstart (Claude Desktop); Claude Code's page
"MCP", sections on scopes and on environment variables; Cursor's page "Model Context Protocol"; VS Code's
"MCP configuration reference".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tool_router.errors import InstallError


class Client(StrEnum):
    """The clients this package knows."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"


class Scope(StrEnum):
    """For whom an entry counts."""

    USER = "user"
    """You, in every project."""
    PROJECT = "project"
    """Everyone who works in the project: the file lies in it."""
    LOCAL = "local"
    """You, in this project (Claude Code only)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the paths depend on.

    Attributes:
        platform: as `sys.platform` says: darwin, win32, anything else is treated as Linux.
        home: the user's home directory.
        environ: the environment, for the directories it may name.
        project: the project's directory, absolute.
    """

    platform: str
    home: Path
    environ: Mapping[str, str]
    project: Path


@dataclass(frozen=True, slots=True)
class Location:
    """The file and the path of names in it under which the servers are.

    Attributes:
        comments: whether the client accepts comments in the file.
    """

    file: Path
    section: tuple[str, ...]
    comments: bool


TITLES: Mapping[Client, str] = {
    Client.CLAUDE_DESKTOP: "Claude Desktop",
    Client.CLAUDE_CODE: "Claude Code",
    Client.CURSOR: "Cursor",
    Client.VSCODE: "VS Code",
}

NEXT_STEPS: Mapping[Client, str] = {
    Client.CLAUDE_DESKTOP: "Quit Claude Desktop altogether and start it again.",
    Client.CLAUDE_CODE: "Start a new session of Claude Code; /mcp shows the server.",
    Client.CURSOR: "Restart Cursor, or switch the server on under Settings > MCP.",
    Client.VSCODE: "Run the command 'MCP: List Servers' in VS Code and start it.",
}

SCOPES: Mapping[Client, tuple[Scope, ...]] = {
    Client.CLAUDE_DESKTOP: (Scope.USER,),
    Client.CLAUDE_CODE: (Scope.USER, Scope.PROJECT, Scope.LOCAL),
    Client.CURSOR: (Scope.USER, Scope.PROJECT),
    Client.VSCODE: (Scope.USER, Scope.PROJECT),
}

_REFERENCES: Mapping[Client, str] = {
    Client.CLAUDE_CODE: "${{{name}}}",
    Client.CURSOR: "${{env:{name}}}",
    Client.VSCODE: "${{env:{name}}}",
}


def locate(client: Client, scope: Scope, machine: Machine) -> Location:
    """Where this client reads the servers of this scope.

    Raises:
        InstallError: the client knows no such scope.
    """
    if scope not in SCOPES[client]:
        known = ", ".join(one.value for one in SCOPES[client])
        raise InstallError(f"{TITLES[client]} has no scope {scope.value!r}.", f"Use --scope {known}.")
    match client, scope:
        case Client.CLAUDE_DESKTOP, _:
            folder = _application_data(machine) / "Claude"
            return Location(folder / "claude_desktop_config.json", ("mcpServers",), comments=False)
        case Client.CLAUDE_CODE, Scope.PROJECT:
            return Location(machine.project / ".mcp.json", ("mcpServers",), comments=False)
        case Client.CLAUDE_CODE, _:
            named = machine.environ.get("CLAUDE_CONFIG_DIR", "").strip()
            file = (Path(named) if named else machine.home) / ".claude.json"
            section = ("projects", str(machine.project)) if scope is Scope.LOCAL else ()
            return Location(file, (*section, "mcpServers"), comments=False)
        case Client.CURSOR, _:
            folder = machine.project if scope is Scope.PROJECT else machine.home
            return Location(folder / ".cursor" / "mcp.json", ("mcpServers",), comments=True)
        case _:
            if scope is Scope.PROJECT:
                return Location(machine.project / ".vscode" / "mcp.json", ("servers",), comments=True)
            folder = _application_data(machine) / "Code" / "User"
            return Location(folder / "mcp.json", ("servers",), comments=True)


def entry(client: Client, command: tuple[str, ...], env: Mapping[str, str | None]) -> dict[str, Any]:
    """The client's entry for a stdio server.

    Args:
        client: who reads it.
        command: the server's argv, with an absolute program.
        env: its variables; None refers to the variable of that name in the client's own environment.

    Raises:
        InstallError: this client can't refer to variables.
    """
    shape: dict[str, Any] = {} if client is Client.CLAUDE_DESKTOP else {"type": "stdio"}
    shape |= {"command": command[0], "args": list(command[1:])}
    if env:
        shape["env"] = {
            name: _reference(client, name) if value is None else value for name, value in env.items()
        }
    return shape


def _reference(client: Client, name: str) -> str:
    if client not in _REFERENCES:
        raise InstallError(
            f"{TITLES[client]} can't take {name} from its environment.",
            f"Give the value: --env {name}=VALUE.",
        )
    return _REFERENCES[client].format(name=name)


def _application_data(machine: Machine) -> Path:
    """Where applications keep what belongs to a user, on each system."""
    if machine.platform == "darwin":
        return machine.home / "Library" / "Application Support"
    if machine.platform == "win32":
        named = machine.environ.get("APPDATA", "")
        return Path(named) if named else machine.home / "AppData" / "Roaming"
    named = machine.environ.get("XDG_CONFIG_HOME", "")
    return Path(named) if named and Path(named).is_absolute() else machine.home / ".config"
