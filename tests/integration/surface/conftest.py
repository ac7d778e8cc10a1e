"""A router of its own for each test: its home, its services.yml, how to start it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcp import StdioServerParameters

from service_manager.daemon.place import place_of

ROOT = Path(__file__).parents[3]
STDIO_SERVICE = ROOT / "tests" / "support" / "stdio_service.py"
ERAS = ["2026-07-28", "legacy"]


@dataclass(frozen=True, slots=True)
class RouterHome:
    """Where one router under test keeps everything."""

    directory: Path

    @property
    def command(self) -> list[str]:
        """The argv that serves stdio."""
        return [sys.executable, "-m", "tool_router"]

    @property
    def environ(self) -> dict[str, str]:
        """This process's environment, with the router's own directory and services in it."""
        unwanted = {"TOOL_ROUTER_CONFIG", "TOOL_ROUTER_STORE", "GATEWAY_URL", "GATEWAY_TOKEN", "OLLAMA_HOST"}
        return {
            **{name: value for name, value in os.environ.items() if name not in unwanted},
            "TOOL_ROUTER_HOME": str(self.directory / "home"),
            "TOOL_ROUTER_SERVICES": str(self.directory / "services.yml"),
            "TOOL_ROUTER_LOG": "debug",
        }

    def write_services(self, **commands: Sequence[str]) -> None:
        """Make services.yml of commands, by service name."""
        services = {name: {"command": list(command)} for name, command in commands.items()}
        # JSON is YAML, and its strings are quoted whatever a path holds.
        text = json.dumps({"services": services})
        (self.directory / "services.yml").write_text(text, encoding="utf-8")

    def server(self) -> StdioServerParameters:
        """How an SDK client starts it."""
        command, *args = self.command
        return StdioServerParameters(command=command, args=args, env=self.environ, cwd=ROOT)


@pytest.fixture
def router_home(tmp_path: Path) -> Generator[RouterHome]:
    """A router whose only service is tests/support/stdio_service.py, printing noise on its stdout."""
    home = RouterHome(tmp_path)
    home.write_services(faulty=[sys.executable, str(STDIO_SERVICE), "--noise"])
    yield home
    # A daemon's files are outside of the directory, where that is too deep for a socket.
    shutil.rmtree(place_of(home.directory / "services.yml", home.environ).directory, ignore_errors=True)
