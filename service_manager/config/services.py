"""services.yml: which services there are, read strictly into `ServiceSpec`s."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from service_manager.config.entry import ServiceEntry, ServicesFile
from service_manager.config.pins import PinError, check_requirement, parse_npm, parse_pypi
from service_manager.config.yamldocument import Document, Problem, config_error, text_of
from service_manager.config.yamlfile import read
from service_manager.config.yamlmodel import unfit_variable, validate
from service_manager.model import (
    CommandSource,
    DeploymentSource,
    ImageSource,
    Priority,
    ServiceSpec,
    Source,
    Tier,
    UrlSource,
)
from service_manager.paths import data_dir, expand_user

DATA_VARIABLE = "TOOL_ROUTER_DATA"
"""Set for substitution in services.yml: the data directory, where services may keep their own files."""

SOURCES = ("npm", "pypi", "command", "image", "deployment", "url")
"""The keys that say what a service is; an entry has exactly one of them."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def load_services(path: Path, environ: Mapping[str, str]) -> tuple[ServiceSpec, ...]:
    """Read a services.yml; disabled services are in the result, in the file's order.

    A ``${NAME}`` without a default may be unset where the entry declares ``needs: [env:NAME]`` or is
    disabled: the service is then unavailable, and the file still right. A needed variable is also passed on.

    Raises:
        ConfigError: the file can't be read, or something in it is wrong; every place is named.
    """
    return parse_services(text_of(path), path, environ)


def parse_services(text: str, path: Path, environ: Mapping[str, str]) -> tuple[ServiceSpec, ...]:
    """As `load_services`, for the text of a file.

    Raises:
        ConfigError: something in it is wrong; every place is named.
    """
    known = {DATA_VARIABLE: str(data_dir(environ)), **environ}
    document = read(text, str(path), known)
    file, misfits = validate(document, ServicesFile)
    problems = [problem for problem in document.problems if not _tolerated(document, problem)]
    problems += misfits
    problems += _entry_problems(document)
    if file is None or problems:
        raise config_error(str(path), problems)
    base = path.absolute().parent
    return tuple(_spec(name, entry, base, environ) for name, entry in file.services.items())


def _entries(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries that have keys at all; pydantic reports the others."""
    services: Any = document.data.get("services")
    if isinstance(services, dict):
        for name, entry in cast("dict[str, Any]", services).items():
            if isinstance(entry, dict):
                yield name, cast("dict[str, Any]", entry)


def _tolerated(document: Document, problem: Problem) -> bool:
    """Whether a missing variable only makes its own service unavailable."""
    if not problem.variable or len(problem.path) < 2 or problem.path[0] != "services":
        return False
    entry = dict(_entries(document)).get(str(problem.path[1]), {})
    needs = entry.get("needs")
    return entry.get("enabled") is False or (isinstance(needs, list) and f"env:{problem.variable}" in needs)


def _entry_problems(document: Document) -> Iterator[Problem]:
    """What a model of single keys can't see: names, and keys that exclude or need each other."""
    for name, entry in _entries(document):
        at = ("services", name)
        line = document.line(at)
        if not _NAME.fullmatch(name):
            yield Problem(line, f"`{name}` is not a name", "Use letters, digits, `.`, `_` and `-`.", at)
        sources = [key for key in entry if key in SOURCES]
        if not sources:
            choices = ", ".join(f"`{key}:`" for key in SOURCES)
            yield Problem(line, f"{name} does not say what to run", f"Add one of {choices}.", at)
        for key in sources[1:]:
            what = f"{name} has both `{sources[0]}:` and `{key}:`"
            yield Problem(document.line((*at, key)), what, "Keep one of them.", (*at, key))
        if sources == ["deployment"] and "endpoint" not in entry:
            what = f"{name} does not say where its deployment is reached"
            yield Problem(line, what, "Add `endpoint: http://HOST:PORT/mcp`.", at)
        if entry.get("sleep") == "respawn" and entry.get("stateless") is not True:
            what = f"{name} would lose its state: `sleep: respawn` stops it"
            yield Problem(
                document.line((*at, "sleep")), what, "Add `stateless: true`, or choose another tier.", at
            )
        yield from _misplaced(document, name, entry, sources)


def _misplaced(
    document: Document, name: str, entry: Mapping[str, Any], sources: list[str]
) -> Iterator[Problem]:
    packaged = bool({"npm", "pypi"} & set(sources))
    for key, fits, wanted in (
        ("entry", packaged, "`npm:` or `pypi:`"),
        ("with", packaged, "`npm:` or `pypi:`"),
        ("environment", packaged, "`npm:` or `pypi:`"),
        ("headers", "url" in sources, "`url:`"),
        ("endpoint", "url" not in sources, "something that is started"),
    ):
        if key in entry and sources and not fits:
            line = document.line(("services", name, key))
            yield Problem(line, f"`{key}` means nothing without {wanted}", "Remove it.")
    extra: Any = entry.get("with")
    for position, text in enumerate(cast("list[Any]", extra) if isinstance(extra, list) and packaged else []):
        if isinstance(text, str):
            try:
                check_requirement(sources[0], text)
            except PinError as error:
                at = ("services", name, "with", position)
                mark = document.marks[at]
                what, suggestion = (
                    unfit_variable(mark) if mark.substituted else (error.what, error.suggestion)
                )
                yield Problem(mark.line, what, suggestion, at)


def _spec(name: str, entry: ServiceEntry, base: Path, environ: Mapping[str, str]) -> ServiceSpec:
    def expanded(text: str) -> str:
        option, equals, value = text.partition("=") if text.startswith("-") else ("", "", text)
        return f"{option}{equals}{expand_user(value, environ)}"

    def located(text: str) -> str:
        return str(base / expand_user(text, environ))

    needed = (need.removeprefix("env:") for need in entry.needs if need.startswith("env:"))
    passed_on = {variable: environ[variable] for variable in needed if environ.get(variable)}
    return ServiceSpec(
        name=name,
        source=_source(entry, base, environ),
        description=entry.description.strip(),
        args=tuple(expanded(text) for text in entry.args),
        env=passed_on | {variable: expanded(text) for variable, text in entry.env.items()},
        cwd=located(entry.cwd) if entry.cwd or entry.command else None,
        needs=tuple(entry.needs),
        directories=tuple(located(text) for text in entry.directories),
        enabled=entry.enabled,
        priority=Priority(entry.priority),
        endpoint=entry.endpoint,
        stateless=entry.stateless,
        sleep=None if entry.sleep == "auto" else Tier(entry.sleep),
        wake_target_s=entry.wake_target,
        limits=entry.limits.limits(),
        idle_timeout_s=entry.idle_timeout,
        min_sleep_time_s=entry.min_sleep_time,
        start_timeout_s=entry.start_timeout,
        stop_timeout_s=entry.stop_timeout,
    )


def _source(entry: ServiceEntry, base: Path, environ: Mapping[str, str]) -> Source:
    if entry.url:
        return UrlSource(entry.url, dict(entry.headers))
    if entry.image:
        return ImageSource(entry.image)
    if entry.deployment:
        namespace, _, name = entry.deployment.partition("/")
        return DeploymentSource(namespace, name)
    if entry.command:
        program = expand_user(entry.command[0], environ)
        if "/" in program:
            program = str(base / program)
        return CommandSource((program, *(expand_user(text, environ) for text in entry.command[1:])))
    package = parse_npm(entry.npm) if entry.npm else parse_pypi(entry.pypi)
    return replace(package, entry=entry.entry, constraints=tuple(entry.with_), environment=entry.environment)
