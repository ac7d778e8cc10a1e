"""Where files are: the XDG base directories, or everything under one directory named by TOOL_ROUTER_HOME.

Nothing here creates a directory; whoever writes a file makes its parents. Directories follow the XDG Base
Directory specification 0.8, which says that a relative path in one of its variables is to be ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

APP = "tool-router"

HOME_VARIABLE = "TOOL_ROUTER_HOME"
"""Overrides every directory: ``$TOOL_ROUTER_HOME/{config,data,state,cache}``."""

SERVICES_VARIABLE = "TOOL_ROUTER_SERVICES"
"""Names the services.yml to use when none is given explicitly."""

LIMITS_VARIABLE = "TOOL_ROUTER_LIMITS"
"""Names the resource-limits.yml to use when none is given explicitly."""


def config_dir(environ: Mapping[str, str]) -> Path:
    """Where the user's own services.yml and router.yml are."""
    return _directory(environ, "config", "XDG_CONFIG_HOME", ".config")


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where installed packages and the services' own data are kept."""
    return _directory(environ, "data", "XDG_DATA_HOME", ".local/share")


def state_dir(environ: Mapping[str, str]) -> Path:
    """Where what was learned and logged is kept between runs."""
    return _directory(environ, "state", "XDG_STATE_HOME", ".local/state")


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Where files are kept that can be made again at any time."""
    return _directory(environ, "cache", "XDG_CACHE_HOME", ".cache")


def packages_dir(environ: Mapping[str, str]) -> Path:
    """Where pinned packages are installed, one directory for each."""
    return data_dir(environ) / "packages"


def user_home(environ: Mapping[str, str]) -> Path:
    """The user's home directory: $HOME, or what the system says without it."""
    home = environ.get("HOME", "")
    return Path(home) if home else Path.home()


def expand_user(text: str, environ: Mapping[str, str]) -> str:
    """Replace a leading ``~`` or ``~/`` by the home directory; ``~name`` is left alone."""
    if text == "~" or text.startswith("~/"):
        return f"{user_home(environ)}{text[1:]}"
    return text


def services_file(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """The services.yml that counts: `explicit`, $TOOL_ROUTER_SERVICES, the user's own, or the shipped one.

    A file that was named is returned whether it exists or not, so that reading it says what is wrong.
    """
    return _chosen(explicit, SERVICES_VARIABLE, "services.yml", environ)


def limits_file(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """The resource-limits.yml that counts, as `services_file` does; its variable is $TOOL_ROUTER_LIMITS."""
    return _chosen(explicit, LIMITS_VARIABLE, "resource-limits.yml", environ)


def lock_file(services: Path) -> Path:
    """The lock that belongs to a services file: beside it, ``services.lock.json`` for ``services.yml``."""
    return services.with_suffix(".lock.json")


def shipped_config_dir() -> Path:
    """The configuration this project ships: package data in a wheel, ``config/`` in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "shipped_config"
    return installed if installed.is_dir() else package.parent / "config"


def _chosen(explicit: Path | None, variable: str, name: str, environ: Mapping[str, str]) -> Path:
    if explicit is not None:
        return Path(expand_user(str(explicit), environ))
    if named := environ.get(variable, ""):
        return Path(expand_user(named, environ))
    own = config_dir(environ) / name
    return own if own.is_file() else shipped_config_dir() / name


def _directory(environ: Mapping[str, str], part: str, variable: str, fallback: str) -> Path:
    if home := environ.get(HOME_VARIABLE, ""):
        return Path(expand_user(home, environ)).absolute() / part
    named = environ.get(variable, "")
    base = Path(named) if named and Path(named).is_absolute() else user_home(environ) / fallback
    return base / APP
