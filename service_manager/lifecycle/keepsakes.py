"""What is kept of services between two runs of a manager: what they offer, and when they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import structlog
from anyio import to_thread

from service_manager.config.lock import Lock
from service_manager.config.pins import lock_pin
from service_manager.lifecycle.known import Known, known_from_lock
from service_manager.model import ServiceSpec


class Keepsakes(Protocol):
    """What a manager remembers; nothing of it is lost when it can't be written but time."""

    def known(self, spec: ServiceSpec) -> Known:
        """What was known of a service; empty when nothing."""
        ...

    async def keep_known(self, spec: ServiceSpec, known: Known) -> None:
        """Keep what is known of a service."""
        ...

    def habits(self) -> object:
        """What was learned of when services are used."""
        ...

    async def keep_habits(self, habits: object) -> None:
        """Keep that."""
        ...


class Forgetful:
    """Keeps nothing."""

    def known(self, spec: ServiceSpec) -> Known:
        """Nothing."""
        return Known()

    async def keep_known(self, spec: ServiceSpec, known: Known) -> None:
        """Nothing is kept."""

    def habits(self) -> object:
        """Nothing."""
        return {}

    async def keep_habits(self, habits: object) -> None:
        """Nothing is kept."""


class StoredKeepsakes:
    """Keeps everything in JSON files, written whole or not at all.

    Args:
        directory: where the files are; made when something is kept.
        lock: the tools of services that have not run yet.
    """

    def __init__(self, directory: Path, lock: Lock) -> None:
        self._directory = directory
        self._lock = lock
        self._log = structlog.get_logger()

    def known(self, spec: ServiceSpec) -> Known:
        """What its last run told; what the lock says, before the first."""
        kept = self._read(self._file(spec))
        about, listings = kept.get("about"), kept.get("listings")
        if isinstance(about, dict) and isinstance(listings, dict):
            return Known(cast("dict[str, Any]", about), cast("dict[str, Mapping[str, Any]]", listings))
        locked = self._lock.for_spec(spec)
        return Known() if locked is None else known_from_lock(locked)

    async def keep_known(self, spec: ServiceSpec, known: Known) -> None:
        """Keep what is known of a service."""
        value = {"about": dict(known.about), "listings": dict(known.listings)}
        await to_thread.run_sync(self._write, self._file(spec), value)

    def habits(self) -> object:
        """What was learned of when services are used."""
        return self._read(self._directory / "habits.json")

    async def keep_habits(self, habits: object) -> None:
        """Keep that."""
        await to_thread.run_sync(self._write, self._directory / "habits.json", habits)

    def _file(self, spec: ServiceSpec) -> Path:
        # Another version of a package, or other arguments, may offer something else.
        identity = repr((lock_pin(spec.source), spec.source, spec.args))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
        return self._directory / f"{spec.name}-{digest}.json"

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            value: Any = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

    def _write(self, file: Path, value: object) -> None:
        scratch = file.with_name(f".{file.name}.new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(value), encoding="utf-8")
            scratch.replace(file)
        except OSError as error:
            self._log.warning("keepsake_not_written", file=str(file), error=str(error))
