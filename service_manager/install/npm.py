"""npm packages: installed without running their scripts, checked, then run as ``node <file>``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

from service_manager.config.pins import distribution, lock_pin, parse_lock_pin, pin_text
from service_manager.install.manifest import Entry, Interpreter, Manifest
from service_manager.install.package import Installation
from service_manager.install.process import log_text
from service_manager.model import PackageSource

STEPS = 2

_FLAGS = (
    # The user's configuration says where packages come from; these say what is done with them.
    "--global=false",
    "--package-lock=true",
    "--omit=dev",
    "--audit=false",
    "--fund=false",
    "--update-notifier=false",
)


async def install_npm(installation: Installation) -> Manifest:
    """Put a package and what it depends on into the scratch directory.

    No code of any package runs before the package's hash was compared with the lock: install scripts are held
    back, and run afterwards, those of what is new, only when there are any.

    Raises:
        InstallError: npm is missing or failed, or what it installed has no executable.
        LockError: the package is not the locked one.
    """
    source = installation.source
    scratch = installation.scratch
    npm = _npm(installation)
    if not (scratch / "package.json").exists():
        (scratch / "package.json").write_text('{"name": "managed", "private": true}\n', encoding="utf-8")
    await installation.steps.next("downloading")
    before = _locked_packages(scratch)
    wanted = (pin_text(source), *source.constraints, *installation.requirements_beside)
    install = [npm, "install", *_FLAGS, "--ignore-scripts", "--prefix", str(scratch), *wanted]
    if await installation.run(install, check=not installation.beside):
        if "ERESOLVE" in log_text(installation.log):
            raise installation.conflict(installation.beside)
        raise installation.failure("npm failed")
    locked = _locked_packages(scratch)
    integrity = _integrity(installation, locked)
    installation.check_integrity(integrity)
    _check_beside(installation, locked)
    await installation.steps.next("finishing")
    scripts = [
        f"{path.rpartition('node_modules/')[2]}@{package.get('version')}"
        for path, package in locked.items()
        if package.get("hasInstallScript") and before.get(path) != package
    ]
    if scripts:
        rebuild = [npm, "rebuild", *_FLAGS, "--ignore-scripts=false", "--prefix", str(scratch)]
        await installation.run([*rebuild, *scripts])
    return Manifest(lock_pin(source), integrity, read_bin(scratch, source.package), source.constraints)


async def remove_npm(installation: Installation, packages: Sequence[PackageSource]) -> None:
    """Take packages, and what only they depend on, out of the scratch directory.

    Raises:
        InstallError: npm is missing or failed.
    """
    names = [distribution(package) for package in packages]
    remove = [_npm(installation), "uninstall", *_FLAGS, "--ignore-scripts", "--prefix"]
    await installation.run([*remove, str(installation.scratch), *names])


def read_bin(root: Path, package: str) -> dict[str, Entry]:
    """The executables of an installed package: the ``bin`` of its package.json, a path or a table."""
    home = PurePosixPath("node_modules") / package
    try:
        data: Any = json.loads((root / home / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found: Any = cast("dict[str, Any]", data).get("bin", {}) if isinstance(data, dict) else {}
    if isinstance(found, str):
        found = {package.rpartition("/")[2]: found}
    if not isinstance(found, dict):
        return {}
    entries: dict[str, Entry] = {}
    for name, path in cast("dict[str, Any]", found).items():
        if isinstance(path, str) and (root / home / path).resolve().is_relative_to((root / home).resolve()):
            relative = str(home / path)
            entries[name] = Entry(relative, _interpreter(root / relative))
    return entries


def _interpreter(path: Path) -> Interpreter:
    if path.suffix in (".js", ".mjs", ".cjs"):
        return "node"
    try:
        with path.open("rb") as file:
            first = file.readline(200)
    except OSError:
        return "node"
    return "none" if first.startswith(b"#!") and b"node" not in first else "node"


def _locked_packages(root: Path) -> Mapping[str, Mapping[str, Any]]:
    """The ``packages`` table of package-lock.json, which npm wrote from what it verified."""
    try:
        data: Any = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))
        packages: Any = data["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return cast("Mapping[str, Mapping[str, Any]]", packages) if isinstance(packages, dict) else {}


def _integrity(installation: Installation, locked: Mapping[str, Mapping[str, Any]]) -> str:
    source = installation.source
    package = locked.get(f"node_modules/{source.package}", {})
    integrity = package.get("integrity")
    if package.get("version") != source.version or not isinstance(integrity, str) or not integrity:
        raise installation.failure("npm did not say which package it installed")
    return integrity


def _check_beside(installation: Installation, locked: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse an installation that changed what shares the environment."""
    for manifest in installation.beside:
        package = locked.get(f"node_modules/{distribution(parse_lock_pin(manifest.pin))}", {})
        if package.get("integrity") != manifest.integrity:
            raise installation.conflict([manifest])


def _npm(installation: Installation) -> str:
    npm = shutil.which("npm", path=installation.environ.get("PATH"))
    if npm is None:
        raise installation.failure("npm is not on PATH")
    return npm
