"""What the packages of one environment have to do with each other; Node's compile cache; forks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from service_manager.config.pins import distribution, lock_pin, parse_lock_pin
from service_manager.install.compile_cache import node_environment
from service_manager.install.manifest import Manifest, directory_name, is_of, manifest_file
from service_manager.install.shared import in_the_way, other_version, replaced, unwanted
from service_manager.model import PackageSource, ServiceSpec
from service_manager.zygote.rules import forkable, own, worth_it

LOG = """\
ERROR: Cannot install a-server==1.0 and b_server==1.0 because they have conflicting dependencies.

The conflict is caused by:
    b_server 1.0 depends on mcp>=2
    The user requested mcp<2

To fix this you could try to:
1. loosen c-server
"""


def source(package: str, version: str = "1.0", environment: str = "together") -> PackageSource:
    return PackageSource("pypi", package, version, environment=environment)


def manifest(package: str, *constraints: str, version: str = "1.0") -> Manifest:
    return Manifest(lock_pin(source(package, version)), "sha256:0", {}, constraints)


def present(*manifests: Manifest) -> dict[str, Manifest]:
    return {manifest_file(with_environment(manifest)): manifest for manifest in manifests}


def with_environment(manifest: Manifest) -> PackageSource:
    pinned = parse_lock_pin(manifest.pin)
    return source(pinned.package, pinned.version)


@pytest.mark.parametrize(
    ("log", "names"),
    [
        (LOG, ["B.Server", "sqlite"]),
        ("nothing of use", ["B.Server", "sqlite", "c-server"]),
    ],
    ids=["those that are named, by themselves or by what was asked with them", "all"],
)
def test_packages_are_in_the_way_when_pip_names_them(log: str, names: list[str]) -> None:
    beside = [manifest("B.Server"), manifest("sqlite", "mcp<2"), manifest("c-server")]

    assert [parse_lock_pin(found.pin).package for found in in_the_way(log, beside)] == names


@pytest.mark.parametrize(
    ("package", "version", "gives_way"),
    [
        ("a-server", "1.0", ["a-server"]),
        ("a-server", "2.0", ["a-server", "A_Server[cli]"]),
        ("a-server[other]", "1.0", []),
        ("b-server", "1.0", []),
    ],
)
def test_a_package_gives_way_to_itself_and_to_its_other_versions(
    package: str, version: str, gives_way: list[str]
) -> None:
    there = present(manifest("a-server"), manifest("A_Server[cli]"), manifest("c"))

    found = replaced(source(package, version), there)

    assert [parse_lock_pin(there[file].pin).package for file in found] == gives_way


def test_only_what_no_known_service_asks_for_is_unwanted() -> None:
    there = present(manifest("a"), manifest("b"))
    specs = [ServiceSpec("x", source("a")), ServiceSpec("y", source("b", environment="other"))]

    assert unwanted(source("c"), there, specs) == [manifest_file(source("b"))]
    assert unwanted(source("c"), there, []) == []


def test_another_version_is_told_with_its_service() -> None:
    specs = [ServiceSpec("x", source("A_b", "2.0")), ServiceSpec("y", source("a-b", environment=""))]

    assert other_version(source("a-b"), specs) == "A_b==2.0 (x)"
    assert other_version(source("a-b", "2.0"), specs) == ""
    assert other_version(source("a-b", environment="else"), specs) == ""


def test_what_shares_an_environment_shares_a_directory_and_nothing_else() -> None:
    one, two = source("a", "1.0"), source("b", "2.0")

    assert directory_name(one) == directory_name(two)
    assert manifest_file(one) != manifest_file(two)
    others = [
        source("a", environment=""),
        source("a", environment="else"),
        PackageSource("npm", "a", "1.0.0", environment="together"),
    ]
    assert len({directory_name(one), *map(directory_name, others)}) == 4
    assert manifest_file(source("a", environment="")) == "manifest.json"
    assert is_of(manifest("a"), one)
    assert not is_of(manifest("a", "mcp<2"), one), "it was installed with something else"


@pytest.mark.parametrize(
    "package", [PackageSource("npm", "@a/b", "1.0.0"), PackageSource("pypi", "B.c_d[x]", "1.0")]
)
def test_a_written_pin_is_read_again(package: PackageSource) -> None:
    assert parse_lock_pin(lock_pin(package)) == package
    assert distribution(package) in ("@a/b", "b-c-d")


@pytest.mark.parametrize(
    ("version", "known"),
    [((20, 20, 2), False), ((22, 0, 9), False), ((22, 1, 0), True), ((24, 0, 0), True), ((), False)],
)
def test_node_is_given_only_what_its_version_knows(version: tuple[int, ...], *, known: bool) -> None:
    expected = {"NODE_COMPILE_CACHE": "/cache"} if known else {}

    assert node_environment(version, Path("/cache")) == expected


@pytest.mark.parametrize(
    ("starts", "services", "worth"),
    [(1, 1, False), (9, 1, False), (1, 2, False), (2, 2, True), (1, 3, True), (9, 9, True)],
)
def test_a_zygote_is_worth_it_at_the_second_start_of_two_services_or_for_three(
    starts: int, services: int, *, worth: bool
) -> None:
    assert worth_it(starts, services) == worth


@pytest.mark.parametrize(
    ("env", "possible", "alone"),
    [
        ({"A": "1", "LANG": "C"}, True, False),
        ({"A": "2", "LANG": "C"}, True, True),
        ({"A": "1", "LANG": "C", "KEY": "x"}, True, True),
        ({"LANG": "C"}, True, True),
        ({"A": "1"}, False, True),
        ({"A": "1", "LANG": "de"}, False, True),
        ({"A": "1", "LANG": "C", "PYTHONPATH": "x"}, False, True),
    ],
)
def test_an_environment_says_whether_a_fork_can_have_it(
    env: Mapping[str, str], *, possible: bool, alone: bool
) -> None:
    base = {"A": "1", "LANG": "C"}

    assert (forkable(env, base), own(env, None, base)) == (possible, alone)
    assert own(env, "/", base)
