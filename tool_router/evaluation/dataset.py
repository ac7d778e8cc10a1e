"""Reads a data set: `tools.jsonl` and a file of tasks, strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tool_router.catalog.model import Tool
from tool_router.errors import DataError


@dataclass(frozen=True, slots=True)
class EvalTask:
    """One task with its labels.

    Attributes:
        gold: ids of the tools that are right; empty when none is (`abstain`).
        candidates: positions to rank, None for all.
        gold_tool: position of the tool that `gold_arguments` are for.
    """

    id: str
    task: str
    context: str
    gold: frozenset[str]
    candidates: tuple[int, ...] | None
    abstain: bool
    gold_arguments: Mapping[str, Any] | None
    gold_arguments_kind: str
    gold_tool: int | None


@dataclass(frozen=True, slots=True)
class DataSet:
    """The tools and tasks of one directory."""

    name: str
    tools: tuple[Tool, ...]
    tasks: tuple[EvalTask, ...]


def load(directory: Path, tasks_file: Path | None = None) -> DataSet:
    """Read `tools.jsonl` of a directory and its `tasks.jsonl`, or another file of tasks.

    Raises:
        DataError: a file is missing or a line is not what it should be; says file and line.
    """
    tools = tuple(_tool(row, where) for row, where in _rows(directory / "tools.jsonl"))
    positions = {tool.id: position for position, tool in enumerate(tools)}
    file = tasks_file or directory / "tasks.jsonl"
    return DataSet(directory.name, tools, tuple(_task(row, where, positions) for row, where in _rows(file)))


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} can't be read: {error}.", "Give a directory with tools.jsonl and tasks.jsonl."
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where}: not JSON: {error}.", "Each line is one JSON object.") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: not a JSON object.", "Each line is one JSON object.")
        yield cast("dict[str, Any]", row), where


def _tool(row: dict[str, Any], where: str) -> Tool:
    name = str(row.get("name") or "")
    key = row.get("id")
    if not name or not isinstance(key, str):
        raise DataError(f"{where}: a tool needs `id` and `name`.", "See the format of the other lines.")
    return Tool(
        id=key,
        name=name,
        server=str(row.get("server") or ""),
        description=str(row.get("description") or ""),
        input_schema=row.get("input_schema", {}),
        call_name=name,
    )


def _task(row: dict[str, Any], where: str, positions: Mapping[str, int]) -> EvalTask:
    task = row.get("task")
    if not isinstance(task, str):
        raise DataError(f"{where}: a task needs `task`, a text.", "See the format of the other lines.")
    gold = cast("list[str]", row.get("gold") or [])
    candidates = cast("list[str] | None", row.get("candidates"))
    unknown = [key for key in (*gold, *(candidates or [])) if key not in positions]
    if unknown:
        raise DataError(
            f"{where}: {unknown[0]!r} is not in tools.jsonl.", "Take tools and tasks of the same set."
        )
    arguments_for = cast("str | None", row.get("gold_arguments_for")) or next(iter(gold), None)
    return EvalTask(
        id=str(row.get("id", where)),
        task=task,
        context=row.get("context") or "",
        gold=frozenset(gold),
        candidates=tuple(positions[key] for key in candidates) if candidates else None,
        abstain=bool(row.get("abstain")),
        gold_arguments=row.get("gold_arguments"),
        gold_arguments_kind=str(row.get("gold_arguments_kind") or "exact"),
        gold_tool=positions.get(arguments_for) if arguments_for else None,
    )
