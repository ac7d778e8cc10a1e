"""`service-manager register-contextforge`, with a loopback server that keeps servers as ContextForge does."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio.from_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner, Result

from service_manager.cli import app
from service_manager.model import Priority, State
from service_manager.status import ServiceStatus
from tests.integration.service_cli.scripted import Home, Scripted
from tests.support.loopback import serve

TOKEN = "an-administrators"


class ContextForge:
    """The gateways there are, by id, and a server over them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.refused = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/gateways", self._all, methods=["GET"]),
                Route("/v1/gateways", self._add, methods=["POST"]),
                Route("/v1/gateways/{id}", self._remove, methods=["DELETE"]),
            ]
        )

    async def _all(self, request: Request) -> JSONResponse:
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return JSONResponse({"detail": "Invalid token"}, 401)
        return JSONResponse(list(self.rows.values()))

    async def _add(self, request: Request) -> JSONResponse:
        row = await request.json()
        if row["name"] == self.refused:
            return JSONResponse({"message": "Unable to connect"}, 502)
        key = str(len(self.rows))
        self.rows[key] = {**row, "id": key}
        return JSONResponse(self.rows[key])

    async def _remove(self, request: Request) -> JSONResponse:
        del self.rows[request.path_params["id"]]
        return JSONResponse({"status": "success"})

    @contextmanager
    def serving(self) -> Generator[str]:
        """The address it listens on."""

        @asynccontextmanager
        async def url() -> AsyncGenerator[str]:
            async with serve(self.app()) as loopback:
                yield loopback.url

        with (
            anyio.from_thread.start_blocking_portal() as portal,
            portal.wrap_async_context_manager(url()) as found,
        ):
            yield found


def run(home: Home, *words: str, token: str = TOKEN) -> Result:
    environ = {**home.environ, "CONTEXTFORGE_TOKEN": token}
    return CliRunner().invoke(app, ["register-contextforge", *words], env=environ)


@pytest.fixture
def manager() -> Scripted:
    return Scripted(*(ServiceStatus(name, State.SLEEPING, Priority.NORMAL) for name in ("time", "git")))


def test_services_that_can_run_are_registered_once_and_pruned_when_they_are_gone(
    home: Home, manager: Scripted
) -> None:
    there = ContextForge()
    with there.serving() as url, home.daemon(manager):
        first = run(home, url, "--prefix", "x-")
        again = json.loads(run(home, url, "--prefix", "x-", "--json").stdout)
        home.file.write_text("services:\n  time: {command: python3}\n")
        pruned = run(home, url, "--prefix", "x-", "--prune")

    assert (first.exit_code, first.stdout) == (0, "x-time: added\nx-git: added\n")
    assert [row["done"] for row in again["services"]] == ["unchanged", "unchanged"]
    assert (pruned.exit_code, pruned.stdout) == (0, "x-time: unchanged\nx-git: removed\n")
    assert [row["url"].rpartition("/services/")[2] for row in there.rows.values()] == ["time/mcp"]


def test_only_the_named_ones_are_registered_and_one_that_fails_is_told(home: Home, manager: Scripted) -> None:
    there = ContextForge()
    there.refused = "git"
    with there.serving() as url, home.daemon(manager):
        told = run(home, url, "git", "time")

    assert (told.exit_code, told.stdout) == (1, "time: added\n")
    assert "git: ContextForge says 502: Unable to connect." in told.stderr


def test_a_refused_token_is_told(home: Home, manager: Scripted) -> None:
    with ContextForge().serving() as url, home.daemon(manager):
        told = run(home, url, "--token", "another")

    assert told.exit_code == 1
    assert "refuses the token" in told.stderr


def test_without_a_daemon_nothing_can_be_registered(home: Home) -> None:
    told = run(home, "http://127.0.0.1:1")

    assert told.exit_code == 1
    assert "service-manager serve --port PORT" in told.stderr


@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        (["http://x"], "", "Give a token with --token, or set CONTEXTFORGE_TOKEN."),
        (["http://x", "git", "--prune"], TOKEN, "--prune is about all services."),
        (["http://x", "gti"], TOKEN, "Did you mean: git?"),
    ],
)
def test_wrong_use_is_told(home: Home, words: list[str], token: str, said: str) -> None:
    told = run(home, *words, token=token)

    assert (told.exit_code, told.stdout) == (2, "")
    assert said in told.stderr
