"""Python packages: a virtual environment each, from a wheel whose hash was checked before anything ran."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from service_manager.install.manifest import Entry, Manifest
from service_manager.install.package import Installation
from service_manager.needs import parse_version
from service_manager.pins import lock_pin, pin_text

STEPS = 4

PYTHON = "bin/python"
"""The environment's interpreter, relative to the managed directory."""

_PIP_WITH_PYTHON_OPTION = (22, 3)
"""The first pip that can install into an environment it is not part of (its option ``--python``)."""


async def install_pypi(installation: Installation) -> Manifest:
    """Fill the scratch directory with a virtual environment that holds a package.

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
    wanted = f"{wheel}[{extras}" if extras else str(wheel)
    await installation.run([*pip, "install", "--no-user", "--no-compile", wanted, *source.constraints])
    wheel.unlink()
    wheels.rmdir()

    await installation.steps.next("compiling")
    # Without .pyc files every start of the service would compile again. Some packages ship files of older
    # Pythons that do not compile, which is no failure. The prefix makes tracebacks show the final path.
    prefix = ["-s", str(scratch), "-p", str(installation.target)]
    await installation.run([python, "-m", "compileall", "-q", "-j", "0", *prefix, "lib"], check=False)
    return Manifest(lock_pin(source), integrity, console_scripts(scratch, name))


def console_scripts(environment: Path, package: str) -> dict[str, Entry]:
    """The console scripts of a package, by name, as the environment's ``bin`` holds them."""
    paths = [str(path) for path in sorted(environment.glob("lib/python*/site-packages"))]
    distributions = importlib.metadata.distributions(name=package, path=paths)
    return {
        script.name: Entry(f"bin/{script.name}", "python")
        for distribution in distributions
        for script in distribution.entry_points.select(group="console_scripts")
        if (environment / "bin" / script.name).is_file()
    }


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
