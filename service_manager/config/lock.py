"""services.lock.json: the hash and the tools of every pinned service, so that it is known before it runs.

The file is written by ``service-manager lock`` with services and tools sorted by name, so that a change of a
version is a readable difference; schemas keep the order of their properties, which means something. The file
holds no addresses: where packages come from is the user's own choice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from service_manager.config.pins import lock_pin
from service_manager.errors import LockError
from service_manager.model import LockedService, LockedTool, ServiceSpec
from service_manager.paths import lock_file, shipped_config_dir

FORMAT = 1
"""Version of the file's format; another one is refused."""

_REWRITE = "Run `service-manager lock` to write it again."


@dataclass(frozen=True, slots=True)
class Lock:
    """What is locked, by service name."""

    services: Mapping[str, LockedService] = field(default_factory=dict[str, LockedService])

    def for_spec(self, spec: ServiceSpec) -> LockedService | None:
        """The locked service of a specification; None when nothing is locked or the pin differs.

        A service under another name counts when its pin is the same: the package is what was locked.
        """
        pin = lock_pin(spec.source)
        if not pin:
            return None
        named = self.services.get(spec.name)
        if named is not None and named.pin == pin:
            return named
        return next((locked for locked in self.services.values() if locked.pin == pin), None)


def load_lock(services: Path) -> Lock:
    """The lock that belongs to a services file, filled up by the shipped one for what that leaves out.

    Raises:
        LockError: a lock file is there and can't be understood.
    """
    own = lock_file(services)
    shipped = lock_file(shipped_config_dir() / "services.yml")
    locks = [read_lock(path) for path in dict.fromkeys((shipped, own)) if path.is_file()]
    return Lock({name: locked for lock in locks for name, locked in lock.services.items()})


def read_lock(path: Path) -> Lock:
    """Read one lock file.

    Raises:
        LockError: it is missing, or can't be understood.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LockError(f"{path} does not exist.", _REWRITE) from error
    except (OSError, ValueError, RecursionError) as error:
        raise LockError(f"{path} can't be read: {error}.", _REWRITE) from error
    if not isinstance(data, dict) or cast("dict[str, Any]", data).get("format") != FORMAT:
        raise LockError(f"{path} is not a lock file of format {FORMAT}.", _REWRITE)
    services: Mapping[str, Any] = cast("dict[str, Any]", data).get("services", {})
    try:
        return Lock({name: _service(entry) for name, entry in services.items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise LockError(f"{path} can't be understood ({error!r}).", _REWRITE) from error


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock file, whole or not at all.

    Raises:
        LockError: it can't be written.
    """
    scratch = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(format_lock(lock), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise LockError(
            f"{path} can't be written: {error}.", "Copy services.yml to your own directory and name it."
        ) from error


def format_lock(lock: Lock) -> str:
    """The text of a lock file; equal locks give equal text."""
    services = {name: _entry(lock.services[name]) for name in sorted(lock.services)}
    data = {"format": FORMAT, "services": services}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def merged(lock: Lock, fresh: Mapping[str, LockedService], names: Iterable[str]) -> Lock:
    """`lock` with fresh entries put in, kept only for services in `names`."""
    known = set(names)
    combined = {**lock.services, **fresh}
    return Lock({name: locked for name, locked in combined.items() if name in known})


def _entry(locked: LockedService) -> dict[str, Any]:
    tools = sorted(locked.tools, key=lambda tool: tool.name)
    return {"pin": locked.pin, "integrity": locked.integrity, "tools": [_tool_entry(tool) for tool in tools]}


def _tool_entry(tool: LockedTool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "annotations": dict(tool.annotations),
    }
    return {key: value for key, value in facts.items() if key in ("name", "inputSchema") or value}


def _service(entry: Mapping[str, Any]) -> LockedService:
    tools = tuple(
        LockedTool(
            name=_text(tool["name"]),
            title=_text(tool.get("title", "")),
            description=_text(tool.get("description", "")),
            input_schema=tool.get("inputSchema", {}),
            annotations=tool.get("annotations", {}),
        )
        for tool in entry["tools"]
    )
    return LockedService(_text(entry["pin"]), _text(entry["integrity"]), tools)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is wanted, not {type(value).__name__}")
    return value
