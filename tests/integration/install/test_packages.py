"""Packages of both registries, installed by the real npm and pip from a registry on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from service_manager.errors import InstallError, LockError, ServiceUnavailable
from service_manager.install.listing import list_tools
from service_manager.model import CommandSource, PackageSource, ServiceSpec, UrlSource
from tests.integration.install.conftest import NPM, PYPI, Machine, Messages
from tests.integration.install.registry import (
    NPM_NAME,
    VERSION,
    Registry,
    npm_archive,
    npm_integrity,
    pypi_integrity,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[3]

BOTH = pytest.mark.parametrize("spec", [NPM, PYPI], ids=["npm", "pypi"])


def integrity(spec: ServiceSpec, registry: Registry) -> str:
    return npm_integrity(registry.npm) if spec is NPM else pypi_integrity(registry.pypi)


def working_in(directory: Path) -> list[Path]:
    """The processes whose working directory is below this one."""
    found: list[Path] = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink().is_relative_to(directory):
                found.append(link.parent)
    return found


@BOTH
async def test_a_package_is_installed_once_and_its_real_argv_lists_its_tools(
    spec: ServiceSpec, machine: Machine, tmp_path: Path
) -> None:
    progress = Messages()
    resolver = machine.resolver((spec, integrity(spec, machine.registry)))

    command = await resolver.resolve(spec, progress)

    program, script, flag = command.argv
    assert Path(program).name == ("node" if spec is NPM else "python")
    assert Path(script).is_relative_to(machine.packages)
    assert flag == "--flag"
    tools = await list_tools("demo", command, tmp_path / "log", 30)
    assert [tool.name for tool in tools] == ["first", "second"]
    numbers = [number for number, _, _ in progress.steps]
    assert numbers == sorted(set(numbers))
    assert progress.steps[-1][0] == progress.steps[-1][1]
    asked = len(machine.registry.requests)
    again = Messages()
    assert await resolver.resolve(spec, again) == command
    assert (len(machine.registry.requests), again.steps) == (asked, [])


@BOTH
async def test_what_is_installed_needs_no_installer_any_more(spec: ServiceSpec, machine: Machine) -> None:
    command = await machine.resolver().resolve(spec, Messages())
    programs = machine.root / "programs"
    programs.mkdir()
    node = shutil.which("node")
    assert node
    (programs / "node").symlink_to(node)

    again = await machine.router_with_path(programs).resolve(spec, Messages())

    assert again.argv[1:] == command.argv[1:]


@BOTH
async def test_a_package_with_another_hash_than_the_lock_is_refused_and_leaves_nothing(
    spec: ServiceSpec, machine: Machine
) -> None:
    machine.registry.npm_has_script = True
    wrong = "sha512-AAAA" if spec is NPM else "sha256:0000"

    with pytest.raises(LockError) as caught:
        await machine.resolver((spec, wrong)).resolve(spec, Messages())

    assert integrity(spec, machine.registry) in caught.value.tried
    assert wrong in caught.value.tried
    assert machine.left_behind() == []


async def test_install_scripts_run_after_the_hash_was_checked(machine: Machine) -> None:
    machine.registry.npm, machine.registry.npm_has_script = npm_archive(script=True), True

    await machine.resolver((NPM, npm_integrity(machine.registry.npm))).resolve(NPM, Messages())

    assert is_file(machine.root / "ran")


async def test_a_refused_package_runs_no_install_script(machine: Machine) -> None:
    machine.registry.npm, machine.registry.npm_has_script = npm_archive(script=True), True

    with pytest.raises(LockError, match="Nothing of it was run"):
        await machine.resolver((NPM, "sha512-AAAA")).resolve(NPM, Messages())

    assert not is_file(machine.root / "ran")


async def test_a_changed_lock_makes_the_package_be_installed_again(machine: Machine) -> None:
    command = await machine.resolver((NPM, npm_integrity(machine.registry.npm))).resolve(NPM, Messages())
    with pytest.raises(LockError):
        await machine.resolver((NPM, "sha512-AAAA")).resolve(NPM, Messages())
    assert is_file(command.argv[1]), "what was installed before is still there"

    machine.registry.npm, machine.registry.npm_has_script = npm_archive(script=True), True
    again = await machine.resolver((NPM, npm_integrity(machine.registry.npm))).resolve(NPM, Messages())

    assert again == command
    assert is_file(machine.root / "ran")
    assert len(machine.left_behind()) == 1


@BOTH
async def test_an_interrupted_installation_leaves_nothing_and_no_process(
    spec: ServiceSpec, machine: Machine
) -> None:
    machine.registry.deliver.clear()
    resolver = machine.resolver()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(resolver.resolve, spec, Messages())
            assert await anyio.to_thread.run_sync(machine.registry.archive_wanted.wait, 60)
            assert len(machine.left_behind()) == 1
            tasks.cancel_scope.cancel()

    assert machine.left_behind() == []
    assert processes_in(machine.packages) == []
    machine.registry.deliver.set()
    assert (await resolver.resolve(spec, Messages())).argv


@BOTH
async def test_two_routers_at_once_install_once(spec: ServiceSpec, machine: Machine) -> None:
    machine.registry.deliver.clear()
    progress = Messages(), Messages()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(machine.resolver().resolve, spec, progress[0])
        assert await anyio.to_thread.run_sync(machine.registry.archive_wanted.wait, 60)
        tasks.start_soon(machine.other_router().resolve, spec, progress[1])
        await progress[1].first.wait()
        machine.registry.deliver.set()

    assert machine.registry.archives_delivered == 1
    assert all("waiting for another process" in message for _, _, message in progress[1].steps)
    assert len(machine.left_behind()) == 1


async def test_what_a_killed_router_left_is_removed(machine: Machine) -> None:
    """A real process that installs is killed with SIGKILL in the middle."""
    machine.registry.deliver.clear()
    code = (
        "import anyio, os, sys\n"
        "from pathlib import Path\n"
        "from service_manager.install.resolver import PackageResolver\n"
        "from service_manager.config.lock import Lock\n"
        "from tests.integration.install.conftest import NPM, Messages\n"
        "resolver = PackageResolver(Path(sys.argv[1]), Lock(), os.environ)\n"
        "anyio.run(resolver.resolve, NPM, Messages())\n"
    )
    process = await anyio.open_process(
        [sys.executable, "-c", code, str(machine.packages)],
        env=machine.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert await anyio.to_thread.run_sync(machine.registry.archive_wanted.wait, 60)
    process.kill()
    await process.wait()
    assert len(machine.left_behind()) == 1
    if sys.platform == "linux":
        with anyio.fail_after(30):
            while working_in(machine.packages):  # noqa: ASYNC110  # npm sets no event of ours
                await anyio.sleep(0.01)
    machine.registry.deliver.set()

    command = await machine.resolver().resolve(NPM, Messages())

    assert machine.left_behind() == [Path(command.argv[1]).relative_to(machine.packages).parts[0]]


@pytest.mark.parametrize(
    ("source", "program"),
    [
        (PackageSource("npm", "@demo/nothing", "1.0.0"), "npm"),
        (PackageSource("npm", "@demo/pinned-server", "9.9.9"), "npm"),
        (PackageSource("pypi", "nothing", "1.0.0"), "python"),
        (PackageSource("pypi", "pinned-server", "9.9.9"), "python"),
    ],
)
async def test_a_package_that_is_not_there_is_told_with_the_installers_last_lines(
    machine: Machine, source: PackageSource, program: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InstallError) as caught:
        await machine.resolver().resolve(ServiceSpec("demo", source), Messages())

    assert program in caught.value.tried
    assert "ended with code" in caught.value.tried
    assert len(caught.value.tried.splitlines()) > 2
    assert ".log" in caught.value.next_step
    assert machine.left_behind() == []
    assert capfd.readouterr() == ("", "")


async def test_further_requirements_are_installed_with_it(machine: Machine) -> None:
    spec = replace(PYPI, source=PackageSource("pypi", "pinned-server", "1.0.0", constraints=("nothing<2",)))

    with pytest.raises(InstallError, match="nothing"):
        await machine.resolver().resolve(spec, Messages())


async def test_an_executable_that_the_package_does_not_have_is_told(machine: Machine) -> None:
    spec = replace(NPM, source=PackageSource("npm", NPM_NAME, VERSION, entry="other"))

    with pytest.raises(InstallError, match="It has: pinned-server"):
        await machine.resolver().resolve(spec, Messages())
    assert machine.left_behind() == []


async def test_an_environment_whose_python_is_gone_is_made_again(machine: Machine) -> None:
    resolver = machine.resolver()
    command = await resolver.resolve(PYPI, Messages())
    point_to_nothing(Path(command.argv[0]))

    assert await resolver.resolve(PYPI, Messages()) == command
    assert is_file(command.argv[0])


async def test_python_packages_are_compiled_for_where_they_stand(machine: Machine) -> None:
    command = await machine.resolver().resolve(PYPI, Messages())

    (compiled,) = Path(command.argv[0]).parent.parent.rglob("pinned_server/__pycache__/__init__.*.pyc")
    assert str(compiled.parent.parent / "__init__.py").encode() in compiled.read_bytes()


async def test_an_uninstalled_package_is_gone_and_can_be_installed_again(machine: Machine) -> None:
    resolver = machine.resolver()
    assert not await resolver.uninstall(NPM)
    await resolver.resolve(NPM, Messages())

    assert await resolver.uninstall(NPM)
    assert machine.left_behind() == []
    assert (await resolver.resolve(NPM, Messages())).argv


async def test_a_place_that_cannot_be_written_is_told(machine: Machine) -> None:
    machine.packages.write_text("a file where a directory is wanted")

    with pytest.raises(InstallError, match="was not installed"):
        await machine.resolver().resolve(NPM, Messages())


async def test_a_missing_need_costs_nothing_and_is_told(machine: Machine) -> None:
    spec = replace(NPM, needs=("node", "env:DEMO_KEY_THAT_IS_NOT_SET"))

    with pytest.raises(ServiceUnavailable, match="DEMO_KEY_THAT_IS_NOT_SET is not set"):
        await machine.resolver().resolve(spec, Messages())
    assert machine.registry.requests == []


async def test_a_command_is_found_on_the_path_and_its_directories_are_made(machine: Machine) -> None:
    data = machine.root / "a" / "b"
    spec = ServiceSpec(
        "it",
        CommandSource(("python3", "-m", "x")),
        args=("y",),
        env={"A": "b"},
        cwd="/",
        directories=(str(data),),
    )

    command = await machine.resolver().resolve(spec, Messages())

    assert command.argv == (shutil.which("python3"), "-m", "x", "y")
    assert (command.env, command.cwd) == ({"A": "b"}, "/")
    assert data.is_dir()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (CommandSource(("no-such-program-anywhere",)), "no program 'no-such-program-anywhere'"),
        (UrlSource("http://localhost/mcp"), "has no command"),
    ],
)
async def test_what_cannot_be_run_is_told(
    machine: Machine, source: CommandSource | UrlSource, reason: str
) -> None:
    with pytest.raises(ServiceUnavailable, match=reason):
        await machine.resolver().resolve(ServiceSpec("it", source), Messages())


def is_file(path: str | Path) -> bool:
    return Path(path).is_file()


def point_to_nothing(link: Path) -> None:
    link.unlink()
    link.symlink_to("/nowhere/python")


def processes_in(directory: Path) -> list[str]:
    """Command lines of running processes that work in `directory`; empty where there is no /proc."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found
