"""Puts a new file in place of one that can't be used; the old one is kept beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import structlog

from tool_router.cache import schema


def set_aside(path: Path, suffix: str, reason: str, carried_over: Mapping[str, int] | None = None) -> None:
    """Rename the file and its write-ahead log; an earlier one of that suffix is replaced.

    Args:
        path: the file.
        suffix: what is appended to its name.
        reason: why, in words.
        carried_over: how many rows its successor already has, by table.

    Raises:
        OSError: it can't be renamed.
    """
    aside = path.with_name(f"{path.name}.{suffix}")
    path.replace(aside)
    with suppress(FileNotFoundError):
        Path(f"{path}-wal").replace(f"{aside}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    structlog.get_logger().warning(
        "store_set_aside",
        path=str(path),
        kept_as=str(aside),
        reason=reason,
        carried_over=dict(carried_over or {}),
    )


def supersede(path: Path, version: int) -> None:
    """Put a file of this program's version in place of another version's, with the rows both know.

    It is made beside the old one and takes its place at the end, so that a killed process loses nothing.

    Raises:
        OSError: a file can't be renamed.
        sqlite3.Error: the new file can't be written.
    """
    before = file_id(path)
    fresh = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        target = fresh.absolute().as_uri()
        with closing(sqlite3.connect(target, uri=True, isolation_level=None)) as connection:
            schema.create(connection)
            connection.execute("ATTACH DATABASE ? AS disk", (path.absolute().as_uri(),))
            read = connection.execute("PRAGMA disk.user_version").fetchone()[0]
            copied = schema.copy_rows(connection)
        # Another router may have done the same meanwhile: only the file that was read is set aside.
        if read == version and file_id(path) == before:
            reason = f"schema version {version}, this program writes {schema.SCHEMA_VERSION}"
            set_aside(path, f"schema-{version}", reason, copied)
            fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def file_id(path: Path) -> tuple[int, int] | None:
    """Device and inode, so that a replaced file is told from the one that was opened."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
