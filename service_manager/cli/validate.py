"""`service-manager validate`: what is wrong in the configuration, line by line."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from service_manager.cli.crosscheck import Finding, check_limits, cross_check
from service_manager.cli.options import AsJson, File
from service_manager.cli.outcome import WRONG_USE, print_json, tell
from service_manager.config.limits import load_limits
from service_manager.config.lock import Lock, load_lock
from service_manager.config.pins import lock_pin
from service_manager.config.services import DATA_VARIABLE, load_services
from service_manager.config.yamldocument import Document
from service_manager.config.yamlfile import read
from service_manager.errors import ConfigError, LockError
from service_manager.model import ServiceSpec
from service_manager.paths import data_dir, limits_file, services_file

EXTRAS = ("docker", "kubernetes")
"""Optional packages, which are imported under the names of their extras."""


@dataclass(slots=True)
class Report:
    """What was found in all files; each with the file, the line, what is wrong and what to do."""

    problems: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    def add(self, file: Path, findings: Sequence[Finding]) -> None:
        """Add what was found in one file, in the order of its lines."""
        for finding in sorted(findings, key=lambda finding: finding.problem.line):
            problem = finding.problem
            line = f"{file}:{problem.line}: {problem.what}. {problem.suggestion}"
            (self.warnings if finding.warning else self.problems).append(line)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(validate)


def validate(
    file: File = None,
    limits: Annotated[
        Path | None,
        typer.Option(
            "--limits", help="resource-limits.yml to use instead of the usual one.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check services.yml, its lock and resource-limits.yml, and say every line that is wrong."""
    path, limits_path = services_file(file, os.environ), limits_file(limits, os.environ)
    report = Report()
    specs = _check_services(path, report)
    _check_limits(limits_path, specs or (), report)
    lock = _check_lock(path, report)
    stale = [spec.name for spec in specs or () if lock_pin(spec.source) and not lock.for_spec(spec)]
    if as_json:
        print_json(
            {
                "file": str(path),
                "limits_file": str(limits_path),
                "valid": not report.problems,
                "problems": report.problems,
                "warnings": report.warnings,
                "services": None if specs is None else len(specs),
                "unlocked": stale,
            }
        )
    else:
        _show(path, limits_path, specs or (), stale, report)
    if report.problems:
        raise typer.Exit(WRONG_USE)


def _show(
    path: Path, limits_path: Path, specs: Sequence[ServiceSpec], stale: Sequence[str], report: Report
) -> None:
    for problem in report.problems:
        tell(problem)
    for warning in report.warnings:
        tell(f"warning: {warning}")
    if report.problems:
        return
    typer.echo(f"{path}: {len(specs)} services, nothing wrong.")
    typer.echo(f"{limits_path}: nothing wrong.")
    if stale:
        typer.echo(f"Not locked: {', '.join(stale)}. Run `service-manager lock {' '.join(stale)}`.")


def _check_services(path: Path, report: Report) -> tuple[ServiceSpec, ...] | None:
    """The services, unless their file is wrong."""
    try:
        specs = load_services(path, os.environ)
        document = _document(path, {DATA_VARIABLE: str(data_dir(os.environ)), **os.environ})
    except ConfigError as error:
        report.problems += error.problems
        return None
    extras = [name for name in EXTRAS if importlib.util.find_spec(name)]
    report.add(path, cross_check(specs, document.line, extras))
    return specs


def _check_lock(path: Path, report: Report) -> Lock:
    try:
        return load_lock(path)
    except LockError as error:
        report.problems.append(str(error))
        return Lock()


def _check_limits(path: Path, specs: Sequence[ServiceSpec], report: Report) -> None:
    try:
        rules = load_limits(path, os.environ)
        document = _document(path, os.environ)
    except ConfigError as error:
        report.problems += error.problems
        return
    report.add(path, check_limits(specs, rules.system, document.line))


def _document(path: Path, environ: Mapping[str, str]) -> Document:
    """The file with the lines of its keys; it has been read before."""
    try:
        return read(path.read_text(encoding="utf-8"), str(path), environ)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}.", "Mend it, or name another file.") from error
