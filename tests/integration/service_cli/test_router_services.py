"""`tool-router services`: the same commands under the router's own."""

from __future__ import annotations

import json
from collections.abc import Generator

import pytest
import structlog
from typer.testing import CliRunner, Result

from service_manager.cli import app as service_manager
from tests.integration.service_cli.scripted import Home, Scripted
from tests.integration.service_cli.test_status import GIT, TIME
from tool_router.cli import app as tool_router


@pytest.fixture(autouse=True)
def logging_as_before() -> Generator[None]:
    """The command configures logging, which is the process's own."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def run(home: Home, *words: str) -> Result:
    return CliRunner().invoke(tool_router, ["services", *words], env=home.environ)


def test_without_a_command_it_lists_the_services(home: Home) -> None:
    bare, listed = run(home), run(home, "list")
    machine = json.loads(run(home, "--json").stdout)

    assert (bare.exit_code, bare.stdout) == (0, listed.stdout)
    assert [row["name"] for row in machine["services"]] == ["time", "git", "idle", "keyed"]


@pytest.mark.parametrize(
    "words", [["status"], ["status", "git", "--json"], ["logs", "time"], ["stop", "tim"]]
)
def test_a_command_does_what_it_does_there(home: Home, words: list[str]) -> None:
    with home.daemon(Scripted(TIME, GIT)):
        here = run(home, *words)
        there = CliRunner().invoke(service_manager, words, env=home.environ)

    assert (here.exit_code, here.stdout, here.stderr) == (there.exit_code, there.stdout, there.stderr)


def test_every_command_is_there() -> None:
    (group,) = (group for group in tool_router.registered_groups if group.name == "services")
    assert group.typer_instance is not None
    here, there = (
        {command.callback for command in program.registered_commands}
        for program in (group.typer_instance, service_manager)
    )

    assert here == there
