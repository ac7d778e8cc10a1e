from __future__ import annotations

from pathlib import Path

import pytest

from service_manager.paths import (
    cache_dir,
    config_dir,
    data_dir,
    expand_user,
    lock_file,
    packages_dir,
    services_file,
    shipped_config_dir,
    state_dir,
)

DIRECTORIES = {"config": config_dir, "data": data_dir, "state": state_dir, "cache": cache_dir}
DEFAULTS = {"config": ".config", "data": ".local/share", "state": ".local/state", "cache": ".cache"}


@pytest.mark.parametrize("part", DIRECTORIES)
def test_directories_follow_the_xdg_specification(part: str) -> None:
    directory, variable = DIRECTORIES[part], f"XDG_{part.upper()}_HOME"

    assert directory({"HOME": "/home/ada"}) == Path("/home/ada", DEFAULTS[part], "tool-router")
    assert directory({"HOME": "/home/ada", variable: "/xdg"}) == Path("/xdg/tool-router")
    for ignored in ("", "relative/path"):
        assert directory({"HOME": "/home/ada", variable: ignored}) == directory({"HOME": "/home/ada"})


@pytest.mark.parametrize("part", DIRECTORIES)
def test_one_variable_moves_every_directory(part: str) -> None:
    environ = {"HOME": "/home/ada", "TOOL_ROUTER_HOME": "/srv/router", f"XDG_{part.upper()}_HOME": "/xdg"}

    assert DIRECTORIES[part](environ) == Path("/srv/router", part)
    assert DIRECTORIES[part](environ | {"TOOL_ROUTER_HOME": "~/r"}) == Path("/home/ada/r", part)


def test_packages_are_data() -> None:
    assert packages_dir({"TOOL_ROUTER_HOME": "/srv"}) == Path("/srv/data/packages")


def test_services_are_looked_for_where_they_are_named_then_at_home_then_where_they_are_shipped(
    tmp_path: Path,
) -> None:
    environ = {"HOME": str(tmp_path)}
    shipped = shipped_config_dir() / "services.yml"

    assert services_file(None, environ) == shipped
    own = tmp_path / ".config" / "tool-router" / "services.yml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert services_file(None, environ) == own
    named = environ | {"TOOL_ROUTER_SERVICES": "~/named.yml"}
    assert services_file(None, named) == tmp_path / "named.yml"
    assert services_file(Path("given.yml"), named) == Path("given.yml")


def test_the_shipped_configuration_is_there() -> None:
    for name in ("services.yml", "services.lock.json"):
        assert (shipped_config_dir() / name).is_file()


def test_a_lock_is_beside_its_services() -> None:
    assert lock_file(Path("/a/services.yml")) == Path("/a/services.lock.json")
    assert lock_file(Path("/a/mine.yaml")) == Path("/a/mine.lock.json")


def test_only_a_leading_tilde_is_the_home_directory() -> None:
    environ = {"HOME": "/home/ada"}

    assert [expand_user(text, environ) for text in ("~", "~/a", "~bob", "a~", "")] == [
        "/home/ada",
        "/home/ada/a",
        "~bob",
        "a~",
        "",
    ]
