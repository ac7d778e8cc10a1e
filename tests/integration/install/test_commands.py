"""The commands that install and start things: `service-manager lock`, `install` and `uninstall`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service_manager.cli import app
from service_manager.config.lock import read_lock
from tests.integration.install.conftest import Machine
from tests.integration.install.registry import npm_integrity, pypi_integrity

pytestmark = pytest.mark.slow

SERVICES = """\
services:
  node-one:
    npm: "@demo/pinned-server@1.0.0"
  keyed:
    pypi: pinned-server==1.0.0
    needs: [env:DEMO_KEY]
    env: {DEMO_KEY: "${DEMO_KEY}"}
  plain:
    command: python3 -m nothing
"""


@pytest.fixture
def services(tmp_path: Path) -> Path:
    path = tmp_path / "services.yml"
    path.write_text(SERVICES)
    return path


def run(machine: Machine, services: Path, *arguments: str) -> Result:
    environ = machine.environ | {"TOOL_ROUTER_HOME": str(machine.root / "home")}
    return CliRunner().invoke(app, [*arguments, "--file", str(services)], env=environ)


def test_locking_writes_hashes_and_tools_and_checking_compares_them(machine: Machine, services: Path) -> None:
    written = run(machine, services, "lock", "--json")

    assert written.exit_code == 0, written.output
    assert [(row["name"], row["status"], row["tools"]) for row in json.loads(written.stdout)["services"]] == [
        ("node-one", "changed", 2),
        ("keyed", "changed", 2),
    ]
    path = services.with_name("services.lock.json")
    lock = read_lock(path)
    assert lock.services["node-one"].integrity == npm_integrity(machine.registry.npm)
    assert lock.services["keyed"].integrity == pypi_integrity(machine.registry.pypi)
    assert [tool.name for tool in lock.services["keyed"].tools] == ["first", "second"]
    assert "placeholder" not in path.read_text()

    assert run(machine, services, "lock", "--check").exit_code == 0
    before = path.read_text()
    path.write_text(before.replace("Does first.", "Does what I say."))
    checked = run(machine, services, "lock", "--check")
    assert checked.exit_code == 1
    assert "altered: first" in checked.stdout
    assert "Does what I say." in path.read_text()
    path.write_text(before)

    # A version that can't be had keeps its old entry, and the others are brought up to date all the same.
    services.write_text(SERVICES.replace("pinned-server@1.0.0", "pinned-server@9.9.9"))
    failed = run(machine, services, "lock")
    assert failed.exit_code == 1
    assert "node-one: failed: @demo/pinned-server@9.9.9 was not installed" in failed.stdout
    assert "Its old entry is kept." in failed.stdout
    assert read_lock(path).services["node-one"] == lock.services["node-one"]


def test_installing_and_uninstalling_are_told_service_by_service(machine: Machine, services: Path) -> None:
    def statuses(*arguments: str) -> dict[str, str]:
        result = run(machine, services, *arguments, "--json")
        assert result.exit_code == 0, result.output
        return {row["name"]: row["status"] for row in json.loads(result.stdout)["services"]}

    assert statuses("install") == {"node-one": "installed", "keyed": "skipped", "plain": "not a package"}
    assert statuses("install", "node-one") == {"node-one": "already installed"}
    listed = json.loads(run(machine, services, "list", "--json").stdout)["services"]
    assert [row["installed"] for row in listed] == [True, False, False]
    assert statuses("uninstall", "--all")["node-one"] == "uninstalled"
    assert statuses("uninstall", "node-one") == {"node-one": "was not installed"}
