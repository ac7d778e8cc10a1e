"""Shared environments: which packages are in one, which of them stay, and which are in each other's way.

Nothing is changed in place: a change is made on a copy, which takes the place of the old environment when it
is complete. What runs from the old one goes on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from service_manager.config.pins import distribution, lock_pin, normal_name, parse_lock_pin, pin_text
from service_manager.install.manifest import SHARED_MANIFESTS, Manifest, manifest_file, read_manifest
from service_manager.model import PackageSource, ServiceSpec

_CONFLICT = "The conflict is caused by:"
"""What pip writes above the requirements that exclude each other."""


def residents(directory: Path) -> dict[str, Manifest]:
    """The packages of a shared environment, by their manifest's file."""
    found = {
        f"{SHARED_MANIFESTS}/{path.name}": read_manifest(directory, f"{SHARED_MANIFESTS}/{path.name}")
        for path in sorted((directory / SHARED_MANIFESTS).glob("*.json"))
    }
    return {file: manifest for file, manifest in found.items() if manifest is not None}


def replaced(source: PackageSource, present: Mapping[str, Manifest]) -> tuple[str, ...]:
    """The manifests' files of what gives way to a package: itself, and other versions of it."""
    own = manifest_file(source)
    return tuple(
        file
        for file, manifest in present.items()
        if file == own
        or (
            distribution(other := parse_lock_pin(manifest.pin)) == distribution(source)
            and other.version != source.version
        )
    )


def unwanted(
    source: PackageSource, present: Mapping[str, Manifest], specs: Sequence[ServiceSpec]
) -> list[str]:
    """The manifests' files of what no service asks for any more; none when no services are known."""
    wanted = {lock_pin(spec.source) for spec in _mates(source, specs)}
    return [file for file, manifest in present.items() if wanted and manifest.pin not in wanted]


def other_version(source: PackageSource, specs: Sequence[ServiceSpec]) -> str:
    """The pin by which a service wants another version of a package in its environment; empty without one."""
    for spec in _mates(source, specs):
        assert isinstance(spec.source, PackageSource)
        if distribution(spec.source) == distribution(source) and spec.source.version != source.version:
            return f"{pin_text(spec.source)} ({spec.name})"
    return ""


def copy_environment(target: Path, scratch: Path, without: Sequence[str]) -> None:
    """Copy a shared environment without some of its manifests.

    Raises:
        OSError: it can't be copied.
    """
    # Times are kept: a .pyc file is of use only while its source has the time that is written in it.
    shutil.copytree(target, scratch, symlinks=True, dirs_exist_ok=True)
    for file in without:
        (scratch / file).unlink(missing_ok=True)


def in_the_way(log: str, beside: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """Those of the packages that pip's words about a conflict name; all when they name none."""
    words = log.rpartition(_CONFLICT)[2].partition("\n\n")[0]
    names = {normal_name(word) for word in re.findall(r"[\w.-]+", words)}
    asked = {line.partition("requested ")[2].strip() for line in words.splitlines() if "requested " in line}
    named = [
        manifest
        for manifest in beside
        if distribution(parse_lock_pin(manifest.pin)) in names or asked & set(manifest.constraints)
    ]
    return tuple(named or beside)


def _mates(source: PackageSource, specs: Sequence[ServiceSpec]) -> list[ServiceSpec]:
    """The services of one environment."""
    return [
        spec
        for spec in specs
        if isinstance(spec.source, PackageSource)
        and spec.source.environment
        and (spec.source.registry, spec.source.environment) == (source.registry, source.environment)
    ]
