"""Reads the settings strictly from router.yml and fills them up from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationError

from service_manager.config.yamldocument import text_of
from service_manager.config.yamlfile import parse
from service_manager.errors import ConfigError as YamlError
from service_manager.paths import config_dir
from tool_router.config import Settings
from tool_router.errors import ConfigError

ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "GATEWAY_URL": ("gateway", "url"),
    "GATEWAY_TOKEN": ("gateway", "token"),
    "OLLAMA_HOST": ("relevance", "host"),
    "TOOL_ROUTER_STORE": ("store", "path"),
    "TOOL_ROUTER_DAEMON": ("services", "daemon"),
    "TOOL_ROUTER_LOG": ("log", "level"),
}
"""Environment variables that fill a setting which router.yml leaves out or empty."""


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from router.yml (when there is one), filled up from the environment.

    Args:
        path: the file; without it $TOOL_ROUTER_CONFIG, then `tool-router/router.yml` in the user's config
            directory, then defaults only.
        environ: the environment, for substitution and filling; the process's own by default.

    Raises:
        ConfigError: a file that was asked for is missing, or something in it is wrong.
    """
    env = os.environ if environ is None else environ
    file = settings_file(path, env)
    if file is None:
        return fill_from_environment(Settings(), env)
    try:
        return fill_from_environment(parse(text_of(file), str(file), Settings, env), env)
    except YamlError as error:
        raise ConfigError(error.tried, error.next_step) from error


def settings_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The router.yml that counts, or None when there is none.

    Raises:
        ConfigError: a file that was named does not exist.
    """
    named = path or (Path(environ["TOOL_ROUTER_CONFIG"]) if environ.get("TOOL_ROUTER_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(
                f"The configuration file {named} does not exist.", "Create it, or name another one."
            )
        return named
    own = config_dir(environ) / "router.yml"
    return own if own.is_file() else None


def fill_from_environment(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Fill what the file left empty from `ENVIRONMENT`; what the file says always counts.

    Raises:
        ConfigError: a variable holds a value that its setting refuses.
    """
    data = settings.model_dump(exclude_unset=True)
    used: list[str] = []
    for variable, (section, key) in ENVIRONMENT.items():
        value = environ.get(variable, "")
        current = getattr(getattr(settings, section), key)
        said = key in getattr(settings, section).model_fields_set
        empty = current in (None, "") or (isinstance(current, SecretStr) and not current.get_secret_value())
        if value and (empty if said else True):
            data.setdefault(section, {})[key] = value
            used.append(variable)
    if not used:
        return settings
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"The environment ({', '.join(used)}) gives a wrong value for {where}: {first['msg']}.",
            "Correct or unset the variable.",
        ) from error
