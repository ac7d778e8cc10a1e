"""A home of its own for each test, and the commands run in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service_manager.cli import app
from service_manager.daemon.place import place_of
from tests.integration.service_cli.scripted import Home

SERVICES = """\
services:
  time: {command: python3 -m time_service}
  git: {command: python3 -m git_service, priority: high}
  idle: {command: python3, enabled: false}
  keyed: {command: python3, needs: ["env:KEY_THAT_IS_NOT_SET"]}
"""

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    file = tmp_path / "services.yml"
    file.write_text(SERVICES)
    environ = {"TOOL_ROUTER_HOME": str(tmp_path), "TOOL_ROUTER_SERVICES": str(file)}
    yield Home(tmp_path, file, environ)
    # Outside of the directory, where that is too deep for a socket.
    shutil.rmtree(place_of(file, environ).directory, ignore_errors=True)


@pytest.fixture
def run(home: Home) -> Run:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, words, env=home.environ)

    return invoke
