"""Python packages in virtual environments, from wheels whose hashes were checked before anything ran."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from service_manager.config.needs import parse_version
from service_manager.config.pins import distribution, lock_pin, normal_name, pin_text
from service_manager.install.manifest import Entry, Manifest
from service_manager.install.package import Installation
from service_manager.install.process import log_text
from service_manager.install.shared import in_the_way
from service_manager.model import PackageSource

STEPS = 4

PYTHON = "bin/python"
"""The environment's interpreter, relative to the managed directory."""

_PIP_WITH_PYTHON_OPTION = (22, 3)
"""The first pip that can install into an environment it is not part of (its option ``--python``)."""


async def install_pypi(installation: Installation) -> Manifest:
    """Put a package into the virtual environment of the scratch directory, which is made when there is none.

    Only wheels of the package itself are taken: building a source archive runs its code before its hash is
    known. The interpreter that runs us makes the environment.

    Raises:
        InstallError: pip failed, there is no wheel, or what was installed has no console script.
        LockError: the wheel is not the locked one.
    """
    source = installation.source
    scratch = installation.scratch
    python = str(scratch / PYTHON)
    name, _, extras = source.package.partition("[")
    await installation.steps.next("making its environment")
    pip = _own_pip(python)
    if not (scratch / PYTHON).exists():
        without = ["--without-pip"] if pip else []
        await installation.run([sys.executable, "-m", "venv", *without, str(scratch)])
    pip = pip or [python, "-m", "pip"]

    await installation.steps.next("downloading")
    wheels = scratch / "wheels"
    await installation.run(
        [*pip, "download", "--no-deps", "--only-binary", name, "--dest", str(wheels), pin_text(source)]
    )
    wheel = next(iter(sorted(wheels.glob("*.whl"))), None)
    if wheel is None:
        raise installation.failure("pip did not deliver a wheel")
    integrity = f"sha256:{_sha256(wheel)}"
    installation.check_integrity(integrity)

    await installation.steps.next("installing what it depends on")
    if _distributions(scratch, name):
        # It came as a dependency of another one, unchecked; pip would take it for the same.
        await installation.run([*pip, "uninstall", "--yes", name])
    wanted = f"{wheel}[{extras}" if extras else str(wheel)
    install = [*pip, "install", "--no-user", "--no-compile", wanted, *source.constraints]
    beside = installation.requirements_beside
    if await installation.run([*install, *beside], check=not beside):
        log = log_text(installation.log)
        if "ResolutionImpossible" in log:
            raise installation.conflict(in_the_way(log, installation.beside))
        raise installation.failure("pip failed")
    wheel.unlink()
    wheels.rmdir()

    await installation.steps.next("compiling")
    # Without .pyc files every start of the service would compile again. Some packages ship files of older
    # Pythons that do not compile, which is no failure. The prefix makes tracebacks show the final path.
    prefix = ["-s", str(scratch), "-p", str(installation.target)]
    await installation.run([python, "-m", "compileall", "-q", "-j", "0", *prefix, "lib"], check=False)
    return Manifest(lock_pin(source), integrity, console_scripts(scratch, name), source.constraints)


async def remove_pypi(installation: Installation, packages: Sequence[PackageSource]) -> None:
    """Take packages out of the environment of the scratch directory; what they depended on stays.

    So does one that another package depends on.

    Raises:
        InstallError: pip failed.
    """
    python = str(installation.scratch / PYTHON)
    pip = _own_pip(python) or [python, "-m", "pip"]
    required = {
        normal_name(found[0])
        for dependent in _distributions(installation.scratch)
        for text in dependent.requires or ()
        if (found := re.match(r"[\w.-]+", text))
    }
    names = [name for package in packages if (name := distribution(package)) not in required]
    if names:
        await installation.run([*pip, "uninstall", "--yes", *names])


def console_scripts(environment: Path, package: str) -> dict[str, Entry]:
    """The console scripts of a package, by name, as the environment's ``bin`` holds them."""
    return {
        script.name: Entry(f"bin/{script.name}", "python", _function(script))
        for installed in _distributions(environment, package)
        for script in installed.entry_points.select(group="console_scripts")
        if (environment / "bin" / script.name).is_file()
    }


def _function(script: importlib.metadata.EntryPoint) -> str:
    """What a script calls, without the extras it names."""
    try:
        return f"{script.module}:{script.attr}" if script.attr else ""
    except AttributeError:
        return ""


def _distributions(environment: Path, package: str | None = None) -> list[importlib.metadata.Distribution]:
    """What is installed in an environment: everything, or one package."""
    paths = [str(path) for path in sorted(environment.glob("lib/python*/site-packages"))]
    return list(importlib.metadata.distributions(name=package, path=paths))


def _own_pip(python: str) -> list[str]:
    """The pip of our own environment, told to work on another; empty when ours has none that can.

    It saves the seconds that setting pip up in every environment takes.
    """
    if importlib.util.find_spec("pip") is None:
        return []
    if parse_version(importlib.metadata.version("pip")) < _PIP_WITH_PYTHON_OPTION:
        return []
    return [sys.executable, "-m", "pip", "--python", python]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
