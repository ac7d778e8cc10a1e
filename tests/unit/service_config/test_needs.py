from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service_manager.config.needs import all_needs, missing_needs, parse_version, unavailable_reason
from service_manager.model import CommandSource, PackageSource, ServiceSpec, UrlSource


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """An installation of node 20.11.1: its header says so, its executable only exists."""
    executable = tmp_path / "node" / "bin" / "node"
    header = tmp_path / "node" / "include" / "node" / "node_version.h"
    for path in (executable, header):
        path.parent.mkdir(parents=True)
    executable.write_text("#!/bin/sh\nexit 1\n")
    executable.chmod(0o755)
    header.write_text(
        "#define NODE_MAJOR_VERSION 20\n#define NODE_MINOR_VERSION 11\n#define NODE_PATCH_VERSION 1\n"
    )
    return executable


def spec(*needs: str, source: PackageSource | CommandSource | UrlSource | None = None) -> ServiceSpec:
    return ServiceSpec("it", source or CommandSource(("it",)), needs=needs)


def test_a_variable_that_is_not_set_is_missing() -> None:
    (missing,) = missing_needs(spec("env:BRAVE_API_KEY"), {})

    assert missing.need == "env:BRAVE_API_KEY"
    assert missing.reason == "The environment variable BRAVE_API_KEY is not set."
    assert "BRAVE_API_KEY" in missing.next_step


@pytest.mark.parametrize(("value", "is_there"), [("x", True), ("", False), ("  ", False)])
def test_a_variable_without_content_counts_as_missing(value: str, *, is_there: bool) -> None:
    assert (not missing_needs(spec("env:KEY"), {"KEY": value})) == is_there


def test_a_program_is_looked_for_on_the_path_that_is_given(node: Path) -> None:
    assert missing_needs(spec("node"), {"PATH": str(node.parent)}) == ()
    (missing,) = missing_needs(spec("node"), {"PATH": "/nowhere"})
    assert missing.reason == "node is not installed."
    assert "Node.js" in missing.next_step


@pytest.mark.parametrize(
    ("wanted", "is_there"), [("20", True), ("20.11.1", True), ("20.12", False), ("22", False), ("9", True)]
)
def test_the_version_of_node_is_read_from_its_header(node: Path, wanted: str, *, is_there: bool) -> None:
    missing = missing_needs(spec(f"node>={wanted}"), {"PATH": str(node.parent)})

    assert (not missing) == is_there
    assert is_there or missing[0].reason == f"node 20.11.1 is older than {wanted}."


def test_a_version_that_no_file_tells_is_taken_to_be_new_enough(node: Path) -> None:
    (node.parent.parent / "include" / "node" / "node_version.h").unlink()

    assert missing_needs(spec("node>=99"), {"PATH": str(node.parent)}) == ()


def test_python_is_the_one_that_runs_us() -> None:
    assert missing_needs(spec("python>=3.11"), {"PATH": "/nowhere"}) == ()
    (missing,) = missing_needs(spec("python>=99"), {"PATH": "/nowhere"})
    assert missing.reason.startswith(f"Python {sys.version_info[0]}.{sys.version_info[1]}")


@pytest.mark.parametrize(("registry", "runtime"), [("npm", "node"), ("pypi", "python")])
def test_a_package_needs_its_runtime_without_saying_so(registry: str, runtime: str) -> None:
    source = PackageSource("npm" if registry == "npm" else "pypi", "p", "1.0.0")

    assert all_needs(spec("git", source=source)) == (runtime, "git")
    assert all_needs(spec(f"{runtime}>=3", source=source)) == (f"{runtime}>=3",)
    assert all_needs(spec("git", source=UrlSource("http://x"))) == ("git",)


def test_everything_that_is_missing_is_told_at_once() -> None:
    reason = unavailable_reason(spec("git", "env:A"), {"PATH": "/nowhere"})

    assert "git is not installed. Install git" in reason
    assert "variable A is not set. Set A" in reason
    assert unavailable_reason(spec(), {}) == ""


@pytest.mark.parametrize(
    ("text", "numbers"), [("20", (20,)), ("v20.11.1", (20, 11, 1)), ("23.2.1-rc.2", (23, 2, 1))]
)
def test_versions_are_their_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_version(text) == numbers
