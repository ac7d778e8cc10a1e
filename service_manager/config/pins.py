"""Pins: one exact version of one package, as services.yml and services.lock.json write them.

npm versions follow Semantic Versioning 2.0.0, Python's PEP 440; ranges, tags and wildcards are refused
because what was tried today must be what runs tomorrow.
"""

from __future__ import annotations

import re

from service_manager.config.mistake import Mistake
from service_manager.model import PackageSource, Source

_NPM_NAME = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*"
_NPM_NAME_ONLY = re.compile(_NPM_NAME)
_SEMVER = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_NPM_REQUIREMENT = re.compile(rf"({_NPM_NAME})(?:@[A-Za-z0-9^~<>=*][A-Za-z0-9.^~<>=*|+ -]*)?")

_PYPI_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_EXTRAS = r"(?:\[[A-Za-z0-9._, -]+\])?"
_PYPI_NAME_ONLY = re.compile(_PYPI_NAME + _EXTRAS)
_PEP440 = re.compile(
    r"(?:\d+!)?\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[a-z0-9]+(?:[._-][a-z0-9]+)*)?"
)
_CLAUSE = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_PYPI_REQUIREMENT = re.compile(rf"{_PYPI_NAME}{_EXTRAS}\s*(?:{_CLAUSE}(?:\s*,\s*{_CLAUSE})*)?")


class PinError(Mistake):
    """Text that is not a pin."""


def parse_npm(text: str) -> PackageSource:
    """Read ``name@1.2.3`` or ``@scope/name@1.2.3``.

    Raises:
        PinError: it is not a package name with an exact version.
    """
    name, at, version = text.rpartition("@")
    if not name:
        name, at, version = text, "", ""
    if "==" in text:
        raise PinError(f"`{text}` is written as for PyPI", "npm pins are written `name@1.2.3`.")
    if not _NPM_NAME_ONLY.fullmatch(name):
        raise PinError(f"`{text}` is not an npm package", "Write `name@1.2.3` or `@scope/name@1.2.3`.")
    if not at:
        raise PinError(
            f"`{text}` has no version", f"Pin one: `{name}@1.2.3` (`npm view {name} version` shows it)."
        )
    if not _SEMVER.fullmatch(version):
        raise PinError(
            f"`{version}` is not an exact version",
            f"Pin one: `{name}@1.2.3` (`npm view {name} version` shows it).",
        )
    return PackageSource("npm", name, version)


def parse_pypi(text: str) -> PackageSource:
    """Read ``name==1.2.3`` or ``name[extra]==1.2.3``.

    Raises:
        PinError: it is not a package name with an exact version.
    """
    name, equals, version = text.partition("==")
    name, version = name.strip(), version.strip()
    found = re.match(_PYPI_NAME, text)
    stem = found[0] if found else "name"
    if not equals and (at := text.rpartition("@"))[1] and _PYPI_NAME_ONLY.fullmatch(at[0]):
        raise PinError(f"`{text}` is written as for npm", f"Write `{at[0]}=={at[2] or '1.2.3'}`.")
    if not equals:
        raise PinError(
            f"`{text}` has no exact version",
            f"Pin one: `{stem}==1.2.3` (`pip index versions {stem}` shows them).",
        )
    if not _PYPI_NAME_ONLY.fullmatch(name):
        raise PinError(f"`{text}` is not a Python package", "Write `name==1.2.3`.")
    if not _PEP440.fullmatch(version):
        raise PinError(
            f"`{version}` is not an exact version",
            f"Pin one: `{stem}==1.2.3` (`pip index versions {stem}` shows them).",
        )
    return PackageSource("pypi", name, version)


def check_requirement(registry: str, text: str) -> None:
    """Check one further requirement (``with``): a package name, with or without a version range.

    Raises:
        PinError: it is something else, an option or an address for example.
    """
    pattern, example = (_NPM_REQUIREMENT, "name@^1.2") if registry == "npm" else (_PYPI_REQUIREMENT, "name<2")
    if not pattern.fullmatch(text):
        raise PinError(f"`{text}` is not a requirement", f"Write a package with a range, as in `{example}`.")


def npm_requirement_name(text: str) -> str:
    """The package a checked npm requirement is about."""
    found = _NPM_REQUIREMENT.fullmatch(text)
    return found[1] if found else text


def pin_text(source: PackageSource) -> str:
    """The pin as people write it: ``name@version`` or ``name==version``."""
    return f"{source.package}{'@' if source.registry == 'npm' else '=='}{source.version}"


def lock_pin(source: Source) -> str:
    """The pin as services.lock.json writes it, ``npm:name@version``; empty for what is not a package."""
    return f"{source.registry}:{pin_text(source)}" if isinstance(source, PackageSource) else ""


def parse_lock_pin(text: str) -> PackageSource:
    """Read what `lock_pin` wrote.

    Raises:
        PinError: it is not a pin.
    """
    registry, _, pin = text.partition(":")
    return parse_npm(pin) if registry == "npm" else parse_pypi(pin)


def distribution(source: PackageSource) -> str:
    """The package itself, without extras; Python's in the normal form of PEP 503."""
    if source.registry == "npm":
        return source.package
    return normal_name(source.package.partition("[")[0].strip())


def normal_name(name: str) -> str:
    """A Python package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
