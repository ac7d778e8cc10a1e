"""Packages that are installed together in one environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from service_manager.errors import InstallError, LockError
from service_manager.install.listing import list_tools
from service_manager.model import Command, PackageSource, ServiceSpec
from tests.integration.install.conftest import Machine, Messages
from tests.integration.install.registry import npm_archive, npm_integrity, pypi_integrity, pypi_wheel

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BOTH = pytest.mark.parametrize("registry_kind", ["npm", "pypi"])


def service(name: str, version: str, kind: str, *constraints: str) -> ServiceSpec:
    source = PackageSource(
        "npm" if kind == "npm" else "pypi", name, version, constraints=constraints, environment="together"
    )
    return ServiceSpec(name, source)


def offer(machine: Machine, kind: str, name: str, version: str, *requires: str) -> str:
    """Put a package into the registry, and return its hash."""
    if kind == "npm":
        archive = machine.registry.more_npm[name, version] = npm_archive(name=name, version=version)
        return npm_integrity(archive)
    wheel = machine.registry.more_pypi[name, version] = pypi_wheel(name, version, requires)
    return pypi_integrity(wheel)


def fetched(machine: Machine) -> list[str]:
    """The archives that were asked for, and nothing from here on."""
    paths = [path.strip("/") for path in machine.registry.requests if path.endswith((".tgz", ".whl"))]
    machine.registry.requests.clear()
    return paths


def compiled_at(machine: Machine, module: str) -> list[int]:
    """When the .pyc files of a Python package were written."""
    return [path.stat().st_mtime_ns for path in machine.packages.rglob(f"{module}/__pycache__/*.pyc")]


async def check_compiled(command: Command) -> None:
    """Check that a package is loaded from a .pyc file that fits, wherever it was made."""
    module, _, function = command.python_entry.partition(":")
    assert function == "main"
    assert command.argv[0] == f"{command.environment}/bin/python"
    said = await anyio.run_process([command.argv[0], "-B", "-v", "-c", f"import {module}"])
    (found,) = [
        line for line in said.stderr.decode().splitlines() if f"matches {command.environment}" in line
    ]
    assert found.endswith(f"{module}/__init__.py")


@BOTH
async def test_services_of_one_environment_are_installed_together_one_after_the_other(
    machine: Machine, registry_kind: str, tmp_path: Path
) -> None:
    hashes = [offer(machine, registry_kind, name, "1.0.0") for name in ("one", "two")]
    one, two = (service(name, "1.0.0", registry_kind) for name in ("one", "two"))
    resolver = machine.resolver_locking((one, hashes[0]), (two, hashes[1]))

    # At once: the second waits for the first, and finds its work done.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(resolver.install, one, Messages())
        tasks.start_soon(resolver.install, two, Messages())

    assert len(machine.left_behind()) == 1
    assert len(fetched(machine)) == 2
    for spec in (one, two):
        command = await resolver.resolve(spec, Messages())
        tools = await list_tools(spec.name, command, tmp_path / "log", 30)
        assert [tool.name for tool in tools] == ["first", "second"]
        if registry_kind == "pypi":
            await check_compiled(command)
    assert fetched(machine) == []

    # A third that is not what was locked changes nothing.
    offer(machine, registry_kind, "three", "1.0.0")
    three = service("three", "1.0.0", registry_kind)
    with pytest.raises(LockError, match="Nothing of it was run"):
        await machine.resolver_locking((three, "sha256:0")).install(three, Messages())
    assert resolver.installed(one)
    assert resolver.installed(two)
    assert not resolver.installed(three)

    # Another version of one is fetched alone.
    offer(machine, registry_kind, "two", "2.0.0")
    fetched(machine)
    compiled = compiled_at(machine, "one")
    newer = service("two", "2.0.0", registry_kind)
    await resolver.install(newer, Messages())
    assert [path for path in fetched(machine) if not path.startswith("two-2")] == []
    assert compiled_at(machine, "one") == compiled, "what stays is not compiled again"
    assert resolver.installed(newer)
    assert resolver.installed(one)
    assert not resolver.installed(two)

    # What goes, goes alone.
    assert await resolver.uninstall(newer)
    assert not await resolver.uninstall(newer)
    assert resolver.installed(one)
    command = await resolver.resolve(one, Messages())
    assert len(await list_tools("one", command, tmp_path / "log", 30)) == 2
    assert await resolver.uninstall(one)
    assert machine.left_behind() == []


async def test_packages_that_exclude_each_other_are_named_and_the_first_stays(machine: Machine) -> None:
    for version in ("1.0", "2.0"):
        offer(machine, "pypi", "library", version)
    offer(machine, "pypi", "old-server", "1.0.0", "library<2")
    offer(machine, "pypi", "new-server", "1.0.0", "library>=2")
    old, new = (service(name, "1.0.0", "pypi") for name in ("old-server", "new-server"))
    resolver = machine.resolver()
    await resolver.install(old, Messages())

    with pytest.raises(InstallError) as caught:
        await resolver.install(new, Messages())

    first = caught.value.tried.splitlines()[0]
    assert "new-server==1.0.0" in first
    assert "old-server==1.0.0" in first
    assert "'together'" in first
    assert resolver.installed(old)

    # Once no service asks for the first any more, it gives way.
    resolver.know((new,))
    progress = Messages()
    await resolver.install(new, progress)
    assert resolver.installed(new)
    assert not resolver.installed(old)
    numbers = [number for number, _, _ in progress.steps]
    assert numbers == sorted(set(numbers))


@BOTH
async def test_two_versions_of_a_package_in_one_environment_are_told_before_anything_is_fetched(
    machine: Machine, registry_kind: str
) -> None:
    one = replace(service("one", "1.0.0", registry_kind), name="first")
    other = replace(service("one", "2.0.0", registry_kind), name="second")
    resolver = machine.resolver()
    resolver.know((one, other))

    with pytest.raises(InstallError, match=r"one\W+1\.0\.0 was not installed.*one\W+2\.0\.0 \(second\)"):
        await resolver.install(one, Messages())
    assert machine.registry.requests == []
