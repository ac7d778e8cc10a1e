"""Reads and replaces configuration files: a backup first, then atomically, with the mode they had."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tool_router.errors import InstallError

_NEW_FILE_MODE = 0o600
"""A client's configuration may hold keys: a new one is its owner's alone."""

_BACKUP_MARK = ".tool-router-"


def read(file: Path) -> str | None:
    """The text of a file, line ends and byte order mark included; None when there is no file.

    Raises:
        InstallError: it can't be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise InstallError(
            f"{file} is not UTF-8 text (byte {error.start}); nothing was changed.",
            "Save it as UTF-8, then run this again.",
        ) from error
    except OSError as error:
        raise InstallError(
            f"{file} can't be read: {error.strerror}.", "Check the path and its permissions."
        ) from error


def replace(file: Path, before: str | None, after: str | None) -> Path | None:
    """Replace a file's text, or delete it, unless it changed since it was read.

    Args:
        file: a symbolic link stays one; what it points to is replaced.
        before: what was read; None when there was no file.
        after: the new text; None deletes the file.

    Returns:
        The backup with the text before; None when there was no file.

    Raises:
        InstallError: it changed meanwhile, or can't be written; the file is then as it was.
    """
    if read(file) != before:
        raise InstallError(f"{file} changed while this command ran; nothing was changed.", "Run it again.")
    try:
        real = Path(os.path.realpath(file))
        backup = None if before is None else _back_up(real, before)
        if after is None:
            real.unlink()
        else:
            real.parent.mkdir(parents=True, exist_ok=True)
            _write(real, after)
    except OSError as error:
        raise InstallError(
            f"{file} can't be written: {error.strerror}; it is as it was.", "Check its permissions."
        ) from error
    return backup


def backups(file: Path) -> list[Path]:
    """The backups this module made of a file, newest first."""
    real = Path(os.path.realpath(file))
    found = real.parent.glob(f"{_escaped(real.name)}{_BACKUP_MARK}*.bak")
    return sorted(found, key=lambda path: path.name, reverse=True)


def _back_up(real: Path, text: str) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    backup = real.with_name(f"{real.name}{_BACKUP_MARK}{moment}.bak")
    _write(backup, text, like=real)
    return backup


def _write(file: Path, text: str, like: Path | None = None) -> None:
    """Write a file beside itself, then move it into place; mode and owner are those of `like`."""
    model = like or file
    status = model.stat() if model.exists() else None
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        if status is not None and os.geteuid() == 0:
            os.chown(temporary, status.st_uid, status.st_gid)
        Path(temporary).chmod(_NEW_FILE_MODE if status is None else status.st_mode & 0o7777)
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _escaped(name: str) -> str:
    """A name in which a glob pattern's special characters stand for themselves."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)
