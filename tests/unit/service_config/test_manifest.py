from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from service_manager.errors import InstallError
from service_manager.install.manifest import (
    Entry,
    Manifest,
    choose_entry,
    directory_name,
    integrity_matches,
    read_manifest,
    write_manifest,
)
from service_manager.install.npm import read_bin
from service_manager.install.progress import Steps
from service_manager.model import PackageSource

NPM = PackageSource("npm", "@scope/server", "1.0.0")
PYPI = PackageSource("pypi", "server", "1.0")
MANIFEST = Manifest("npm:@scope/server@1.0.0", "sha512-x", {"server": Entry("a/b.js", "node")})


def having(*names: str) -> Manifest:
    return replace(MANIFEST, entries={name: Entry(name, "node") for name in names})


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)

    assert read_manifest(tmp_path) == MANIFEST


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "entries": []}', "\x00"])
def test_a_directory_without_a_usable_manifest_is_not_installed(tmp_path: Path, text: str) -> None:
    assert read_manifest(tmp_path) is None
    (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path) is None


def test_what_is_installed_differently_is_in_different_directories() -> None:
    sources = [
        NPM,
        PYPI,
        PackageSource("npm", "@scope/server", "1.0.1"),
        PackageSource("npm", "@scope+server", "1.0.0-x"),
        PackageSource("pypi", "server", "1.0", constraints=("mcp<2",)),
        PackageSource("pypi", "server", "1.0", constraints=("mcp<3",)),
        PackageSource("pypi", "server[cli]", "1.0"),
    ]
    names = [directory_name(source) for source in sources]

    assert len(set(names)) == len(names)
    assert not any("/" in name or name.startswith(".") for name in names)
    assert directory_name(replace(NPM, entry="other")) == directory_name(NPM)


@pytest.mark.parametrize(
    ("wanted", "names", "chosen"),
    [
        ("", ["server", "other"], "server"),
        ("", ["only"], "only"),
        ("other", ["server", "other"], "other"),
    ],
)
def test_the_executable_is_the_one_asked_for_or_the_namesake_or_the_only_one(
    wanted: str, names: Sequence[str], chosen: str
) -> None:
    for source in (NPM, PYPI, PackageSource("pypi", "server[cli]", "1.0")):
        assert choose_entry(replace(source, entry=wanted), having(*names)).path == chosen


@pytest.mark.parametrize(
    ("wanted", "names", "told"),
    [
        ("", [], "has no executable"),
        ("", ["a", "b"], "several executables: a, b"),
        ("c", ["a", "b"], "It has: a, b"),
        ("c", [], "It has: none"),
    ],
)
def test_an_executable_that_is_not_clear_is_told(wanted: str, names: Sequence[str], told: str) -> None:
    with pytest.raises(InstallError, match=told):
        choose_entry(replace(NPM, entry=wanted), having(*names))


@pytest.mark.parametrize(
    ("wanted", "found", "matches"),
    [("a", "a", True), ("a b", "b", True), ("a", "b", False), ("ab", "a", False), ("", "a", False)],
)
def test_a_hash_matches_when_it_is_one_of_those_locked(wanted: str, found: str, *, matches: bool) -> None:
    assert integrity_matches(wanted, found) == matches


@pytest.mark.parametrize(
    ("package", "bin_field", "files", "entries"),
    [
        ("@s/server", "dist/i.js", {"dist/i.js": ""}, {"server": ("dist/i.js", "node")}),
        ("server", {"a": "./i.mjs"}, {"i.mjs": ""}, {"a": ("i.mjs", "node")}),
        ("server", {"a": "a"}, {"a": "#!/usr/bin/env node\n"}, {"a": ("a", "node")}),
        ("server", {"a": "a"}, {"a": "#!/bin/sh\n"}, {"a": ("a", "none")}),
        ("server", {"a": "../../../etc/passwd"}, {}, {}),
        ("server", {"a": "/etc/passwd"}, {}, {}),
        ("server", {"a": 1}, {}, {}),
        ("server", ["a"], {}, {}),
        ("server", None, {}, {}),
    ],
)
def test_the_executables_of_an_npm_package_are_read_from_its_own_directory_only(
    tmp_path: Path,
    package: str,
    bin_field: object,
    files: dict[str, str],
    entries: dict[str, tuple[str, str]],
) -> None:
    home = tmp_path / "node_modules" / package
    home.mkdir(parents=True)
    (home / "package.json").write_text(json.dumps({"name": package, "bin": bin_field}))
    for name, text in files.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)

    assert read_bin(tmp_path, package) == {
        name: Entry(f"node_modules/{package}/{path}", "node" if interpreter == "node" else "none")
        for name, (path, interpreter) in entries.items()
    }


@pytest.mark.anyio
async def test_progress_always_grows_and_ends_at_its_total() -> None:
    told: list[tuple[float, float | None, str]] = []

    async def tell(progress: float, total: float | None, message: str) -> None:
        told.append((progress, total, message))

    steps = Steps(tell, "it", 2)
    for elapsed_s in (1, 2, 60, 100):
        await steps.tick(elapsed_s)
    for what in ("downloading", "finishing"):
        await steps.next(what)
        for elapsed_s in (1, 5, 100):
            await steps.tick(elapsed_s)
    await steps.finish()

    numbers = [number for number, _, _ in told]
    assert numbers == sorted(set(numbers))
    assert {total for _, total, _ in told} == {3.0}
    assert numbers[-1] == 3.0
    assert told[0][2] == "Installing it: waiting for another process that installs it (1 s)"
    assert told[-1][2] == "Installed it"
