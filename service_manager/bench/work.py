"""What the measured services are asked: tools in turn, and what shows that nothing was lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a tool.

    Attributes:
        expected: stands in the answer if nothing was lost.
    """

    tool: str
    arguments: Arguments
    expected: str


class Work:
    """The requests of one service, in turn.

    Args:
        directory: where its files are; see `prepare`.
    """

    def __init__(self, service: str, directory: Path) -> None:
        self._service = service
        self._directory = directory
        self._written: list[str] = []

    def call(self, number: int) -> Call:
        """The request of one cycle; the tools alternate, and build on what earlier cycles left behind."""
        even = number % 2 == 0
        directory = str(self._directory)
        match self._service:
            case "time":
                if even:
                    return Call("get_current_time", {"timezone": "Europe/Berlin"}, "Europe/Berlin")
                return Call(
                    "convert_time",
                    {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
                    "21:00",
                )
            case "git":
                if even:
                    return Call("git_status", {"repo_path": directory}, "On branch")
                return Call("git_log", {"repo_path": directory, "max_count": 3}, "the first")
            case "filesystem":
                if even:
                    return Call("list_directory", {"path": directory}, "note.txt")
                return Call("read_text_file", {"path": f"{directory}/note.txt"}, "remember")
            case "memory":
                if even:
                    name = f"cycle {number}"
                    self._written.append(name)
                    entity = {"name": name, "entityType": "cycle", "observations": [str(number)]}
                    return Call("create_entities", {"entities": [entity]}, name)
                return Call("read_graph", {}, self._written[0])
            case "sequential-thinking":
                thought = {
                    "thought": f"thought {number}",
                    "nextThoughtNeeded": True,
                    "thoughtNumber": number + 1,
                    "totalThoughts": number + 1,
                }
                # It counts in memory, and says so.
                return Call("sequentialthinking", thought, f'"thoughtHistoryLength": {number + 1}')
            case _:
                if even:
                    return Call("echo", {"message": f"cycle {number}"}, f"cycle {number}")
                return Call("get-sum", {"a": number, "b": 1}, str(number + 1))

    def intact(self, answer: Mapping[str, Any], call: Call) -> bool:
        """Whether an answer shows that nothing was lost."""
        text = json.dumps(answer, ensure_ascii=False).replace('\\"', '"')
        remembered = all(name in text for name in self._written) if call.tool == "read_graph" else True
        return not answer.get("isError") and call.expected in text and remembered


def prepare(directory: Path) -> None:
    """Make the files that services are asked about: a note, and a repository with one commit."""
    (directory / "note.txt").write_text("remember\n", encoding="utf-8")
    git = ["git", "-C", str(directory), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "the first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
