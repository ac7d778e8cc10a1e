"""What the registries offer beyond the pins: asked of npm and pip, several at once."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import anyio

from service_manager.config.pins import distribution
from service_manager.install.installer import installer_environment
from service_manager.install.process import Said, ask, without_credentials
from service_manager.install.versions import is_newer
from service_manager.model import PackageSource, Progress, ServiceSpec

AT_ONCE = 4
"""How many registries' answers are waited for at once; each is a process of npm or pip."""

ANSWER_S = 30.0
"""How long npm or pip may take to answer for one package."""

_OFFERED = re.compile(r"^\S+ \(([^()\s]+)\)", re.MULTILINE)
"""The first line of `pip index versions`: the package, and its newest version in brackets."""


@dataclass(frozen=True, slots=True)
class Outdated:
    """What is offered for one service's package.

    Attributes:
        name: the service.
        pinned: the version in services.yml.
        latest: the newest one that is no pre-release; empty when it is not known.
        newer: whether that comes after the pinned one.
        error: why nothing is known, one sentence; empty otherwise.
    """

    name: str
    pinned: str
    latest: str = ""
    newer: bool = False
    error: str = ""


async def outdated(
    specs: Sequence[ServiceSpec], environ: Mapping[str, str], progress: Progress
) -> tuple[Outdated, ...]:
    """Ask for the newest version of each service's package, in the order of the services.

    Services that are no packages are left out; a package of several services is asked for once. What can't be
    found out is told in the result of its own service and keeps nobody else's from being known.

    Args:
        specs: the services.
        environ: the environment npm and pip run in: the user's own, with the user's registries.
        progress: told after each answer.
    """
    asked = [(spec, spec.source) for spec in specs if isinstance(spec.source, PackageSource)]
    packages = list(dict.fromkeys((source.registry, distribution(source)) for _, source in asked))
    variables = installer_environment(environ)
    found: dict[tuple[str, str], tuple[str, str]] = {}
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def look_up(registry: str, package: str) -> None:
        async with limit:
            found[registry, package] = await _latest(registry, package, variables)
        await progress(float(len(found)), float(len(packages)), f"Asked for {package}")

    async with anyio.create_task_group() as tasks:
        for registry, package in packages:
            tasks.start_soon(look_up, registry, package)
    rows: list[Outdated] = []
    for spec, source in asked:
        latest, error = found[source.registry, distribution(source)]
        newer = is_newer(source.registry, latest, source.version)
        rows.append(Outdated(spec.name, source.version, latest, newer, error))
    return tuple(rows)


async def _latest(registry: str, package: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The newest version of a package, or else why it is not known."""
    argv, read = _npm_question(package, environ) if registry == "npm" else _pip_question(package)
    if not argv:
        return "", "npm is not on PATH."
    try:
        said = await ask(argv, environ=environ, timeout_s=ANSWER_S)
    except TimeoutError:
        return "", f"No answer within {ANSWER_S:g} s."
    except OSError as error:
        return "", f"{argv[0]} can't be started: {error}."
    return read(said)


def _npm_question(
    package: str, environ: Mapping[str, str]
) -> tuple[list[str], Callable[[Said], tuple[str, str]]]:
    npm = shutil.which("npm", path=environ.get("PATH"))
    return [npm, "view", package, "version", "--json"] if npm else [], read_npm


def _pip_question(package: str) -> tuple[list[str], Callable[[Said], tuple[str, str]]]:
    return [sys.executable, "-m", "pip", "index", "versions", package], read_pip


def read_npm(said: Said) -> tuple[str, str]:
    """The version that `npm view NAME version --json` told, or else its error."""
    try:
        data: Any = json.loads(said.output)
    except ValueError:
        data = None
    if isinstance(data, list):
        # Some versions of npm answer with a list of one.
        data = cast("list[Any]", data)[-1] if data else None
    if said.code == 0 and isinstance(data, str):
        return data, ""
    told: Any = cast("dict[str, Any]", data).get("error") if isinstance(data, dict) else None
    summary = cast("dict[str, Any]", told).get("summary") if isinstance(told, dict) else None
    return "", _sentence("npm", summary if isinstance(summary, str) else said.errors, said.code)


def read_pip(said: Said) -> tuple[str, str]:
    """The version that `pip index versions NAME` told, or else its error."""
    offered = _OFFERED.search(said.output)
    if said.code == 0 and offered:
        return offered[1], ""
    lines = [line for line in said.errors.splitlines() if line.startswith("ERROR:")]
    return "", _sentence("pip", lines[-1].removeprefix("ERROR:") if lines else said.errors, said.code)


def _sentence(program: str, words: str, code: int) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = f": {without_credentials(lines[0]).rstrip('.')}" if lines else ""
    return f"{program} ended with code {code}{told}."
