"""One real server of each registry, from the shipped services.yml and its lock."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from service_manager.config.lock import load_lock
from service_manager.config.services import load_services
from service_manager.install.listing import list_tools
from service_manager.install.resolver import PackageResolver
from service_manager.paths import packages_dir, shipped_config_dir
from tests.integration.install.conftest import Messages

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.parametrize("name", ["memory", "time"])
async def test_a_shipped_server_is_what_the_lock_says_and_lists_the_tools_it_says(
    name: str, tmp_path: Path
) -> None:
    environ = dict(os.environ) | {"TOOL_ROUTER_HOME": str(tmp_path)}
    services = shipped_config_dir() / "services.yml"
    spec = {spec.name: spec for spec in load_services(services, environ)}[name]
    lock = load_lock(services)

    command = await PackageResolver(packages_dir(environ), lock, environ).resolve(spec, Messages())
    tools = await list_tools(name, command, tmp_path / "log", 60)

    locked = lock.for_spec(spec)
    assert locked
    assert {tool.name for tool in tools} == {tool.name for tool in locked.tools}
    assert [directory for directory in spec.directories if not is_directory(directory)] == []
    assert command.argv[0] == (shutil.which("node") if name == "memory" else python_beside(command.argv[1]))


def python_beside(script: str) -> str:
    return str(Path(script).parent / "python")


def is_directory(path: str) -> bool:
    return Path(path).is_dir()
