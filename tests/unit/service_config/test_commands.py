"""`service-manager list`, `validate`, `outdated` and `probe`, and how every command tells errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service_manager.cli import app

SERVICES = """\
services:
  tool: {command: python3 -m tool, description: A tool.}
  stopped: {command: python3, enabled: false}
  keyed: {command: python3, needs: ["env:KEY_THAT_IS_NOT_SET"]}
  remote: {url: "http://localhost/mcp"}
  unlocked: {npm: unlocked@1.0.0}
"""


@pytest.fixture
def services(tmp_path: Path) -> Path:
    path = tmp_path / "services.yml"
    path.write_text(SERVICES)
    return path


def run(*arguments: str | Path, home: Path | None = None, **environ: str) -> Result:
    if home:
        environ["TOOL_ROUTER_HOME"] = str(home)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environ)


def test_listing_says_what_each_service_is_and_why_it_cannot_run(services: Path) -> None:
    listed = run("list", "--file", services, "--json", home=services.parent)

    assert listed.exit_code == 0
    rows = {row["name"]: row for row in json.loads(listed.stdout)["services"]}
    assert list(rows) == ["tool", "stopped", "keyed", "remote", "unlocked"]
    assert [row["available"] for row in rows.values()][:4] == [True, False, False, True]
    assert rows["keyed"]["state"] == "unavailable"
    assert "KEY_THAT_IS_NOT_SET is not set" in rows["keyed"]["unavailable_reason"]
    assert rows["remote"]["source"] == "http://localhost/mcp"
    assert (rows["unlocked"]["tools"], rows["unlocked"]["installed"]) == (None, False)
    text = run("list", "--file", services, home=services.parent).stdout
    assert "KEY_THAT_IS_NOT_SET is not set" in text
    assert all(name in text for name in rows)


def test_the_shipped_services_are_listed_without_a_file_of_ones_own(tmp_path: Path) -> None:
    rows = json.loads(run("list", "--json", home=tmp_path).stdout)["services"]

    assert {"time", "filesystem", "memory"} <= {row["name"] for row in rows}
    assert all(row["tools"] for row in rows)
    assert list(tmp_path.iterdir()) == []


def test_a_right_file_is_told_to_be_right_and_what_is_not_locked_named(services: Path) -> None:
    told = run("validate", "--file", services)
    assert told.exit_code == 0
    assert "5 services, nothing wrong" in told.stdout
    assert "service-manager lock unlocked" in told.stdout

    data = json.loads(run("validate", "--file", services, "--json").stdout)
    assert (data["valid"], data["problems"], data["unlocked"]) == (True, [], ["unlocked"])


def test_a_wrong_file_is_told_line_by_line(services: Path) -> None:
    services.write_text("services:\n  a: {npm: a}\n  b: {}\n")

    told = run("validate", "--file", services)
    assert told.exit_code == 2
    assert told.stdout == ""
    assert f"{services}:2: " in told.stderr
    assert f"{services}:3: " in told.stderr

    machine = run("validate", "--file", services, "--json")
    assert machine.exit_code == 2
    assert machine.stderr == ""
    data = json.loads(machine.stdout)
    assert not data["valid"]
    assert [
        problem.startswith(f"{services}:{line}: ") for line, problem in enumerate(data["problems"], 2)
    ] == [
        True,
        True,
    ]


def test_wrong_limits_are_told_beside_wrong_services(services: Path) -> None:
    limits = services.with_name("limits.yml")
    limits.write_text("system:\n  max_concurent: 3\n")
    services.write_text("services:\n  a: {npm: a}\n")
    told = run("validate", "--file", services, "--limits", limits)
    machine = run("validate", "--file", services, TOOL_ROUTER_LIMITS=str(limits))

    assert (told.exit_code, told.stdout) == (2, "")
    assert f"{services}:2: " in told.stderr
    assert f"{limits}:2: " in told.stderr
    assert "Did you mean `max_concurrent`?" in told.stderr
    assert machine.stderr == told.stderr


def test_what_contradicts_itself_is_wrong_and_what_is_odd_a_warning(services: Path) -> None:
    limits = services.with_name("limits.yml")
    limits.write_text("system:\n  start_wait: 3s\n  max_concurrent: 1\n")
    services.write_text(
        "services:\n"
        "  a: {command: a, priority: critical}\n"
        "  b: {command: b, priority: critical}\n"
        "  c:\n    command: c\n    args: ['{port}']\n"
    )
    told = run("validate", "--file", services, "--limits", limits)
    data = json.loads(run("validate", "--file", services, "--limits", limits, "--json").stdout)

    assert told.exit_code == 2
    assert f"service-manager: {limits}:3: 2 services never sleep" in told.stderr
    assert f"service-manager: warning: {services}:6: no port" in told.stderr
    assert not data["valid"]
    assert [problem.startswith(f"{limits}:3: ") for problem in data["problems"]] == [True]
    assert [warning.startswith(f"{services}:6: ") for warning in data["warnings"]] == [True]
    limits.write_text("system:\n  max_concurrent: 2\n")
    right = run("validate", "--file", services, "--limits", limits)
    assert right.exit_code == 0
    assert "warning: " in right.stderr


def test_what_is_shipped_is_right(tmp_path: Path) -> None:
    told = run("validate", "--json", home=tmp_path)

    data = json.loads(told.stdout)
    assert (told.exit_code, data["valid"], data["warnings"], data["unlocked"]) == (0, True, [], [])


def test_validating_tells_of_a_damaged_lock_and_of_the_rest(services: Path) -> None:
    services.with_name("services.lock.json").write_text("{")
    services.write_text("services:\n  a: {npm: a}\n")
    told = run("validate", "--file", services)

    assert told.exit_code == 2
    assert "services.lock.json" in told.stderr
    assert f"{services}:2: " in told.stderr


def test_what_the_registry_does_not_tell_is_told_for_its_service(services: Path) -> None:
    told = run("outdated", "--file", services, PATH=str(services.parent))
    machine = run("outdated", "--file", services, "--json", PATH=str(services.parent))

    assert told.exit_code == machine.exit_code == 1
    assert "unlocked: npm is not on PATH." in told.stderr
    (row,) = json.loads(machine.stdout)["services"]
    assert (row["name"], row["pinned"], row["latest"], row["newer"]) == ("unlocked", "1.0.0", "", False)


def test_services_that_are_no_packages_are_not_asked_about(services: Path) -> None:
    told = run("outdated", "tool", "remote", "--file", services, "--json")

    assert (told.exit_code, json.loads(told.stdout)["services"]) == (0, [])


def test_what_the_machine_can_do_is_told_with_what_it_lacks() -> None:
    told, data = run("probe"), json.loads(run("probe", "--json").stdout)

    assert told.exit_code == 0
    assert data["platform"] == sys.platform
    assert {"warm", "respawn"} <= set(data["tiers"])
    assert ", ".join(data["tiers"]) in told.stdout
    assert data["missing_capability"] in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["install", "tol"], 2, "There is no service named 'tol'. Did you mean: tool?"),
        (["lock", "nothing-like-it"], 2, "There is no service named 'nothing-like-it'."),
        (["uninstall"], 2, "name the services to uninstall, or give --all"),
        (["uninstall", "tool", "--all"], 2, "name the services to uninstall, or give --all"),
        (["lsit"], 2, "lsit"),
    ],
)
def test_wrong_use_is_told_on_stderr(services: Path, arguments: list[str], code: int, told: str) -> None:
    file = [] if arguments == ["lsit"] else ["--file", services]
    result = run(*arguments, *file, home=services.parent)

    assert result.exit_code == code
    assert told in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_not_there_is_told() -> None:
    result = run("list", "--file", "/nowhere/services.yml")

    assert result.exit_code == 2
    assert "/nowhere/services.yml does not exist." in result.stderr


def test_a_damaged_lock_is_told(services: Path) -> None:
    services.with_name("services.lock.json").write_text("{")
    result = run("list", "--file", services)

    assert result.exit_code == 1
    assert "service-manager lock" in result.stderr


def test_a_failed_installation_is_told_and_the_exit_code_says_so(services: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a directory is wanted")
    result = run("install", "unlocked", "--file", services, "--json", home=tmp_path)

    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)["services"]
    assert row["status"] == "failed"
    assert "was not installed" in row["detail"]


def test_reading_settings_loads_no_yaml_and_reading_services_no_terminal_library() -> None:
    """What every start of the router imports stays light; heavy libraries come with what uses them."""
    code = (
        "import sys\n"
        "import service_manager.paths, service_manager.config.yamlfile, service_manager.config.lock\n"
        "assert not {'yaml', 'pydantic', 'difflib'} & set(sys.modules), 'yamlfile'\n"
        "import service_manager.config.services, service_manager.config.needs\n"
        "import service_manager.install.resolver\n"
        "assert not {'typer', 'rich', 'mcp', 'numpy', 'rapidfuzz'} & set(sys.modules), 'config'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
