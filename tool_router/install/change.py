"""What is to be changed in a client's configuration, worked out before anything is touched."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tool_router.errors import InstallError
from tool_router.install import edit, files
from tool_router.install.clients import TITLES, Client, Location
from tool_router.install.jsonc import JsoncError
from tool_router.install.launch import is_own

Action = Literal["added", "updated", "replaced", "unchanged", "removed", "restored", "nothing"]

_HIDDEN = re.compile(
    r'("[^"]*(?:key|token|secret|passw|auth|credential|cookie|session)[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"',
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one file, not made yet.

    Attributes:
        file: the client's configuration.
        before: its text; None when there is no file.
        after: its text afterwards; None when the file goes.
        entry: the entry as it will be; None when it goes, or was not there.
    """

    file: Path
    before: str | None
    after: str | None
    action: Action
    entry: Mapping[str, Any] | None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.before != self.after

    def apply(self) -> Path | None:
        """Make the change; returns the backup, or None when there was nothing to back up.

        Raises:
            InstallError: the file changed meanwhile or can't be written; it is then as it was.
        """
        return files.replace(self.file, self.before, self.after) if self.changes else None

    def diff(self) -> str:
        """The change as a unified diff; values whose names speak of secrets are hidden."""
        lines = difflib.unified_diff(
            _shown(self.before), _shown(self.after), str(self.file), str(self.file), n=2, lineterm=""
        )
        return "\n".join(lines)


def plan_install(client: Client, location: Location, name: str, entry: dict[str, Any]) -> Change:
    """Work out how the entry gets into the file.

    An entry of that name that starts a tool-router already is brought up to date: its other fields, and
    variables this one does not name, stay. An entry that starts something else is replaced.

    Raises:
        InstallError: the file can't be read or understood; with the entry to put in by hand.
    """
    text = files.read(location.file)
    path = (*location.section, name)
    try:
        old = edit.get(text or "", path, comments=location.comments)
        new = _merged(cast("dict[str, Any]", old), entry) if is_own(old) else entry
        after = edit.put(text or "", path, new, comments=location.comments)
    except JsoncError as error:
        raise _unreadable(client, location, name, entry, error) from error
    if after == text:
        return Change(location.file, text, text, "unchanged", new)
    action: Action = "added" if old is None else "updated" if is_own(old) else "replaced"
    return Change(location.file, text, after, action, new)


def plan_undo(client: Client, location: Location, name: str) -> Change:
    """Work out how the entry gets out again, and what was there before it comes back.

    Raises:
        InstallError: the file can't be read or understood, or the entry of that name starts something else.
    """
    text = files.read(location.file)
    path = (*location.section, name)
    try:
        current = edit.get(text or "", path, comments=location.comments)
        if text is None or current is None:
            return Change(location.file, text, text, "nothing", None)
        if not is_own(current):
            raise InstallError(
                f"The entry {name!r} in {location.file} starts something else than tool-router.",
                "It was left alone; give the entry's name with --name.",
            )
        prior = _prior(location, path)
        previous = edit.get(prior or "", path, comments=location.comments)
        after = _without(text, prior, path, current, previous, comments=location.comments)
    except JsoncError as error:
        raise _unreadable(client, location, name, None, error) from error
    return Change(location.file, text, after, "removed" if previous is None else "restored", previous)


def _without(
    text: str, prior: str | None, path: tuple[str, ...], current: Any, previous: Any, *, comments: bool
) -> str | None:
    """The text without our entry: exactly what was before, where nothing else has changed since."""
    if edit.put(prior or "", path, current, comments=comments) == text:
        return prior
    if previous is not None:
        return edit.put(text, path, previous, comments=comments)
    return edit.remove(text, path, comments=comments)


def _prior(location: Location, path: tuple[str, ...]) -> str | None:
    """The newest backup from before our entry; None when there is none."""
    for backup in files.backups(location.file):
        text = files.read(backup) or ""
        try:
            if not is_own(edit.get(text, path, comments=location.comments)):
                return text
        except JsoncError:
            continue
    return None


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = {**old, **new}
    variables = old.get("env")
    if isinstance(variables, dict):
        merged["env"] = {**cast("dict[str, Any]", variables), **new.get("env", {})}
    return merged


def _unreadable(
    client: Client, location: Location, name: str, entry: dict[str, Any] | None, error: JsoncError
) -> InstallError:
    problem = f"{location.file} was not changed: {error}."
    advice = f"Correct the file ({TITLES[client]} can't read it either), then run this again."
    if entry is not None:
        by_hand = edit.put("", (*location.section, name), entry, comments=False).rstrip()
        advice += f" Or put this in yourself:\n{by_hand}"
    return InstallError(problem, advice)


def _shown(text: str | None) -> list[str]:
    return [_HIDDEN.sub(r'\1"***"', line) for line in (text or "").splitlines()]
