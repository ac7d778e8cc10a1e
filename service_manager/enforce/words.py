"""How a service ended by a limit, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service_manager.resources import Limits

_FILES = ("too many open files", "emfile")
_SIZE = ("file too large", "efbig")
_MEMORY = ("memoryerror", "cannot allocate memory", "enomem", "out of memory", "bad_alloc")
_FORKS = ("resource temporarily unavailable", "eagain", "can't start new thread")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What control groups counted.

    Attributes:
        killed: processes the kernel ended for want of memory.
        own: whether the service's own memory limit was reached; else that of all services together was.
        refused: processes and threads it could not start.
    """

    killed: int = 0
    own: bool = True
    refused: int = 0


def size(count: int) -> str:
    """Bytes for people: "128 MB", "1.5 GB"."""
    for unit, name in ((1024**3, "GB"), (1024**2, "MB"), (1024, "KB")):
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{count} bytes"


def explain(
    limits: Limits,
    system: Limits,
    enforced: Mapping[str, str],
    evidence: Evidence,
    ending: str,
    said: Sequence[str],
) -> str:
    """By which limit a service ended, e.g. "killed: it reached its memory limit of 128 MB (cgroup v1)".

    Args:
        limits: what it might use.
        system: what all services together might use.
        enforced: by what each of its limits was enforced.
        evidence: what its control groups counted.
        ending: how it ended, as `Running.ending` says; empty while it runs.
        said: its last lines.

    Returns:
        Empty when no limit had to do with it.
    """
    reached = _reached(limits, system, enforced, evidence, ending, " ".join(said).lower())
    if not reached:
        return ""
    if ending in ("signal SIGKILL", "signal SIGXFSZ") or not ending:
        return f"killed: {reached}"
    return f"{ending} after {reached}"


def _reached(
    limits: Limits,
    system: Limits,
    enforced: Mapping[str, str],
    evidence: Evidence,
    ending: str,
    said: str,
) -> str:
    def by(name: str) -> str:
        return f" ({enforced[name]})" if name in enforced else ""

    def told(words: Sequence[str]) -> bool:
        return any(word in said for word in words)

    if evidence.killed and evidence.own and limits.memory is not None:
        return f"it reached its memory limit of {size(limits.memory)}{by('memory')}"
    if evidence.killed and system.memory is not None:
        return f"all services together reached their memory limit of {size(system.memory)}{by('memory')}"
    if limits.file_size is not None and (ending == "signal SIGXFSZ" or told(_SIZE)):
        return f"it reached its limit of {size(limits.file_size)} for one file{by('file_size')}"
    if limits.open_files is not None and told(_FILES):
        return f"it reached its limit of {limits.open_files} open files{by('open_files')}"
    if limits.processes is not None and (evidence.refused or _netted(enforced, "processes", told(_FORKS))):
        return f"it reached its limit of {limits.processes} processes{by('processes')}"
    if limits.memory is not None and _netted(enforced, "memory", told(_MEMORY)):
        return f"it reached its memory limit of {size(limits.memory)}{by('memory')}"
    return ""


def _netted(enforced: Mapping[str, str], name: str, told: bool) -> bool:
    """Whether words are enough: a resource limit leaves no other trace."""
    return told and "rlimit" in enforced.get(name, "")
