"""`tool-router doctor` says what is right, what is wrong and what to do."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import Literal

import anyio
import typer
from rich.console import Console

from service_manager.config.needs import unavailable_reason
from service_manager.config.services import load_services
from service_manager.errors import ServiceManagerError
from service_manager.paths import services_file
from tool_router.cache.assembly import open_store
from tool_router.cli.pins import look, rows_of
from tool_router.cli.run import FAILED, AsJson, Config, print_json
from tool_router.config import Settings
from tool_router.config_file import load_settings, settings_file
from tool_router.errors import StoreError, ToolRouterError
from tool_router.gateway.assembly import Heads, token
from tool_router.gateway.protocol import Gateway, Health
from tool_router.location import store_path
from tool_router.telemetry.log import configure

CHECK_S = 15.0
"""How long one check may take."""

SHOWN_TOOLS = 5
"""Flagged tools that are told one by one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    next_step: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(as_json: AsJson = False, config: Config = None) -> None:
    """Check configuration, gateway, token, models, store, services, tools; exit 1 when something failed."""

    async def main() -> list[Finding]:
        findings: list[Finding] = []
        try:
            settings = load_settings(config, os.environ)
            file = settings_file(config, os.environ)
        except (ToolRouterError, ServiceManagerError) as error:
            return [Finding("config", "fail", error.tried, error.next_step)]
        configure("error", settings.log.format)
        findings.append(
            Finding("config", "ok", str(file) if file else "no router.yml: the defaults are used")
        )
        return findings + [finding async for finding in _findings(settings)]

    findings = anyio.run(main)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        console = Console(highlight=False, markup=False)
        for finding in findings:
            console.print(f"{finding.status:<5} {finding.what}: {finding.detail}", soft_wrap=True)
            if finding.next_step:
                console.print(f"      {finding.next_step}", soft_wrap=True)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(FAILED)


async def _findings(settings: Settings) -> AsyncGenerator[Finding]:
    yield _token(settings)
    for finding in await _gateways(settings):
        yield finding
    for finding in _services(settings):
        yield finding
    for finding in await _models(settings):
        yield finding
    yield _store(settings)
    for finding in await _pins(settings):
        yield finding


def _token(settings: Settings) -> Finding:
    if settings.gateway.resolved_kind == "embedded":
        return Finding("token", "ok", "the embedded gateway needs none")
    try:
        value = token(settings)
    except ToolRouterError as error:
        return Finding("token", "fail", error.tried, error.next_step)
    if value:
        return Finding("token", "ok", "a bearer token is set")
    return Finding("token", "warn", "no bearer token is set", "If the gateway wants one, set GATEWAY_TOKEN.")


async def _gateways(settings: Settings) -> list[Finding]:
    """Every head of the gateway; one that fails beside others that work is a warning."""
    heads = Heads()
    try:
        gateways = [heads.first(settings, os.environ)[0]]
        gateways += [heads.at(settings, replica.url) for replica in settings.gateway.replicas]
    except (ToolRouterError, ServiceManagerError) as error:
        return [Finding("gateway", "fail", error.tried, error.next_step)]
    found: dict[int, Health] = {}

    async def check(place: int, gateway: Gateway) -> None:
        late = Health(False, f"{gateway.key} did not answer within {CHECK_S:.0f} s.", "See its log.")
        found[place] = late
        with anyio.move_on_after(CHECK_S):
            async with gateway.open():
                found[place] = await gateway.check()

    async with anyio.create_task_group() as tasks:
        for place, gateway in enumerate(gateways):
            tasks.start_soon(check, place, gateway)
    bad = "warn" if any(health.ok for health in found.values()) else "fail"
    findings: list[Finding] = []
    for place, gateway in enumerate(gateways):
        health = found[place]
        status = "ok" if health.ok else bad
        findings.append(Finding(f"gateway {gateway.key}", status, health.detail, health.next_step))
    return findings


def _services(settings: Settings) -> list[Finding]:
    if settings.gateway.resolved_kind != "embedded":
        return []
    try:
        specs = load_services(services_file(settings.services.file, os.environ), os.environ)
    except ServiceManagerError as error:
        return [Finding("services", "fail", error.tried, error.next_step)]
    findings: list[Finding] = []
    for spec in specs:
        reason = unavailable_reason(spec, os.environ) if spec.enabled else "it is disabled in services.yml"
        findings.append(Finding(f"service {spec.name}", "warn" if reason else "ok", reason or "can run here"))
    return findings


async def _models(settings: Settings) -> list[Finding]:
    if not (settings.relevance.enabled or settings.model_arguments.enabled):
        return [Finding("models", "ok", "relevance and arguments by a model are turned off")]
    from tool_router.ai.report import check_models

    checked = await check_models(settings, os.environ, CHECK_S)
    return [
        Finding(item.what, "ok" if item.works else "warn", item.detail, item.next_step) for item in checked
    ]


def _store(settings: Settings) -> Finding:
    path = store_path(settings, os.environ)
    nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    if os.access(nearest, os.W_OK):
        return Finding("store", "ok", str(path))
    return Finding("store", "warn", f"{path} can't be written; nothing is kept.", "Set store.path.")


async def _pins(settings: Settings) -> list[Finding]:
    """The tools whose words a person should look at, in the catalog that was read last."""
    try:
        async with open_store(settings, os.environ) as store:
            reviewed = await look(settings, store)
    except StoreError as error:
        return [Finding("tools", "warn", error.tried, error.next_step)]
    count = len(reviewed.catalog.tools)
    if not count:
        return [Finding("tools", "warn", "no catalog was read yet", "Run `tool-router tools`.")]
    rows = rows_of(reviewed)
    if not rows:
        return [Finding("tools", "ok", f"{count} tools; none is suspicious or changed since it was accepted")]
    told = [
        Finding(
            f"tool {row['tool']}",
            "warn",
            f"flagged: {'; '.join(row['why'])}",
            f"See `tool-router pins list`. If it is right: tool-router pins accept '{row['tool']}'",
        )
        for row in rows[:SHOWN_TOOLS]
    ]
    if len(rows) > SHOWN_TOOLS:
        rest = f"{len(rows) - SHOWN_TOOLS} more of {count} tools are flagged"
        told.append(Finding("tools", "warn", rest, "See them all: tool-router pins list"))
    return told
