"""What a service needs and this machine lacks, told without starting a process.

Programs are looked for on PATH. Their versions are compared only where a file says them: Node's own header
beside its executable, and this interpreter's version for ``python``, because Python services run on the
interpreter that runs us. A version that no file tells is taken to be new enough; a service that needs a newer
one then fails at its start, with its own words.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service_manager.model import PackageSource, ServiceSpec

_INSTALL_HINTS = {
    "node": "Install Node.js 20 or newer, or put `node` on PATH.",
    "git": "Install git, or put it on PATH.",
}
_HEADER_NUMBER = re.compile(r"#define NODE_(?:MAJOR|MINOR|PATCH)_VERSION (\d+)")


@dataclass(frozen=True, slots=True)
class MissingNeed:
    """Something a service needs and does not have here.

    Attributes:
        need: the need in the words of services.yml.
        reason: what is missing, one sentence.
        next_step: what to do about it, one sentence.
    """

    need: str
    reason: str
    next_step: str


def missing_needs(spec: ServiceSpec, environ: Mapping[str, str]) -> tuple[MissingNeed, ...]:
    """What of `spec` is missing on this machine; empty when it can run. Takes well under a millisecond."""
    found = (_missing(need, environ) for need in all_needs(spec))
    return tuple(missing for missing in found if missing)


def unavailable_reason(spec: ServiceSpec, environ: Mapping[str, str]) -> str:
    """Why a service can't run here and what to do, for people; empty when it can."""
    return " ".join(f"{missing.reason} {missing.next_step}" for missing in missing_needs(spec, environ))


def all_needs(spec: ServiceSpec) -> Sequence[str]:
    """What a service declares, and the runtime that its package implies when it does not declare that."""
    if not isinstance(spec.source, PackageSource):
        return spec.needs
    runtime = "node" if spec.source.registry == "npm" else "python"
    declared = {need.partition(">=")[0] for need in spec.needs}
    return spec.needs if runtime in declared else (runtime, *spec.needs)


def _missing(need: str, environ: Mapping[str, str]) -> MissingNeed | None:
    if need.startswith("env:"):
        variable = need.removeprefix("env:")
        if environ.get(variable, "").strip():
            return None
        reason = f"The environment variable {variable} is not set."
        return MissingNeed(need, reason, f"Set {variable} where the router is started.")
    program, _, wanted = need.partition(">=")
    if program == "python":
        return _missing_python(need, wanted)
    path = shutil.which(program, path=environ.get("PATH"))
    if path is None:
        next_step = _INSTALL_HINTS.get(program, f"Install {program}, or put it on PATH.")
        return MissingNeed(need, f"{program} is not installed.", next_step)
    version = _node_version(Path(path)) if program == "node" and wanted else None
    if version is None or version >= parse_version(wanted):
        return None
    has = ".".join(map(str, version))
    return MissingNeed(need, f"node {has} is older than {wanted}.", f"Install Node.js {wanted} or newer.")


def _missing_python(need: str, wanted: str) -> MissingNeed | None:
    if wanted and sys.version_info[:3] < parse_version(wanted):
        has = ".".join(map(str, sys.version_info[:3]))
        next_step = f"Run the router with Python {wanted} or newer."
        return MissingNeed(need, f"Python {has} is older than {wanted}.", next_step)
    if importlib.util.find_spec("pip") is None and importlib.util.find_spec("ensurepip") is None:
        next_step = "Install pip for it (on Debian and Ubuntu: apt install python3-venv)."
        return MissingNeed(need, "This Python can't install packages.", next_step)
    return None


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers of a dotted version, ``20.11`` or ``v20.11.1``; what follows a hyphen is left out."""
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("-")[0]))


def _node_version(path: Path) -> tuple[int, ...] | None:
    """The version in ``include/node/node_version.h`` of the installation `path` is in; None without one."""
    header = path.resolve().parent.parent / "include" / "node" / "node_version.h"
    try:
        numbers = _HEADER_NUMBER.findall(header.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return tuple(int(number) for number in numbers) if len(numbers) == 3 else None
