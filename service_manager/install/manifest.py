"""What a managed directory holds. The manifest is written last: a directory without one is not installed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from service_manager.config.pins import lock_pin, pin_text
from service_manager.errors import InstallError
from service_manager.model import PackageSource

FORMAT = 1
MANIFEST = "manifest.json"

SHARED_MANIFESTS = "manifests"
"""Where a shared environment has the manifests of its packages, one for each."""

Interpreter = Literal["node", "python", "none"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One executable of a package.

    Attributes:
        path: relative to the managed directory.
        interpreter: what runs it: ``node``, the ``python`` of the directory's environment, or itself.
        function: what a Python console script calls, ``module:function``; empty for everything else.
    """

    path: str
    interpreter: Interpreter
    function: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An installed package.

    Attributes:
        pin: as in the lock, ``npm:name@version``.
        integrity: the hash of what was installed, as in the lock.
        entries: its executables by name.
        constraints: what was installed with it, in a shared environment; others have that in their name.
    """

    pin: str
    integrity: str
    entries: Mapping[str, Entry]
    constraints: tuple[str, ...] = ()


def directory_name(source: PackageSource) -> str:
    """The managed directory of a package: of its own, unique for what is installed in it, or a shared one.

    A Python environment serves one minor version of Python, so that its name holds that too.
    """
    name = source.package.replace("/", "+")
    parts = [f"{source.registry}-{name}-{source.version}"]
    if source.environment:
        # No registry is called so: a shared directory never has the name of a package's own.
        parts = [f"shared-{source.registry}-{source.environment}"]
    if source.registry == "pypi":
        parts.append(f"py{sys.version_info[0]}.{sys.version_info[1]}")
    if source.constraints and not source.environment:
        parts.append(hashlib.sha256("\0".join(sorted(source.constraints)).encode()).hexdigest()[:8])
    return "-".join(parts)


def manifest_file(source: PackageSource) -> str:
    """Where the manifest of a package is, relative to its managed directory."""
    if not source.environment:
        return MANIFEST
    return f"{SHARED_MANIFESTS}/{source.package.replace('/', '+')}.json"


def read_manifest(directory: Path, file: str = MANIFEST) -> Manifest | None:
    """A manifest of a managed directory; None when nothing usable is installed there."""
    try:
        data: Any = json.loads((directory / file).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            return None
        entries = {
            name: Entry(entry["path"], entry["interpreter"], entry.get("function", ""))
            for name, entry in data["entries"].items()
        }
        return Manifest(data["pin"], data["integrity"], entries, tuple(data.get("constraints", ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_manifest(directory: Path, manifest: Manifest, file: str = MANIFEST) -> None:
    """Write the manifest of a package whose directory is otherwise complete."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2, sort_keys=True)
    (directory / file).parent.mkdir(exist_ok=True)
    (directory / file).write_text(text + "\n", encoding="utf-8")


def choose_entry(source: PackageSource, manifest: Manifest) -> Entry:
    """The executable that was asked for, the one named like the package, or the only one.

    Raises:
        InstallError: there is none, or several and none of these.
    """
    entries = manifest.entries
    namesake = source.package.rpartition("/")[2].partition("[")[0]
    if source.entry:
        if source.entry in entries:
            return entries[source.entry]
        names = ", ".join(sorted(entries)) or "none"
        raise InstallError(
            f"{pin_text(source)} has no executable named {source.entry!r}.", f"It has: {names}."
        )
    if namesake in entries:
        return entries[namesake]
    if len(entries) == 1:
        return next(iter(entries.values()))
    if not entries:
        raise InstallError(f"{pin_text(source)} has no executable.", "It is not a server; pin another one.")
    raise InstallError(
        f"{pin_text(source)} has several executables: {', '.join(sorted(entries))}.",
        "Name one with `entry:` in services.yml.",
    )


def integrity_matches(wanted: str, found: str) -> bool:
    """Whether a hash is one of the `wanted`: several may be given, separated by spaces."""
    return found in wanted.split()


def is_of(manifest: Manifest, source: PackageSource) -> bool:
    """Whether a manifest is that of this package and version, with what was asked to be installed with it."""
    if source.environment and sorted(manifest.constraints) != sorted(source.constraints):
        return False
    return manifest.pin == lock_pin(source)
