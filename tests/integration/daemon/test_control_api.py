"""The control API over HTTP; every answer is what its OpenAPI document says."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import jsonschema
import pytest

from service_manager.daemon.address import Address
from service_manager.daemon.client import DaemonClient
from service_manager.errors import DaemonError, ServiceUnavailable, SleepFailed, UnknownService
from tests.integration.daemon.served import RAW, TOKEN, Served, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served() -> AsyncGenerator[Served]:
    async with serving(raw=RAW, absent=()) as running:
        yield running


class Checked:
    """Asks, and holds each answer against the document."""

    def __init__(self, served: Served, document: dict[str, Any]) -> None:
        self._served = served
        self._document = document
        self.asked: set[tuple[str, str]] = set()

    async def ask(
        self, method: str, template: str, *, status: int = 200, query: str = "", **names: str
    ) -> Any:
        """Ask for a path of the document."""
        described = self._document["paths"][template][method.lower()]
        async with self._served.http() as http:
            answer = await http.request(method, template.format(**names) + query)
        assert answer.status_code == status, answer.text
        content = described["responses"][str(status)]["content"]
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in content
        self.asked.add((method.lower(), template))
        if kind != "application/json":
            return answer.text
        schema = {**content[kind]["schema"], "components": self._document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())  # pyright: ignore[reportUnknownMemberType]  # no stubs
        return answer.json()


@pytest.fixture
async def checked(served: Served) -> Checked:
    async with served.http() as http:
        return Checked(served, (await http.get("/openapi.json")).json())


@pytest.fixture
async def client(served: Served) -> AsyncGenerator[DaemonClient]:
    async with DaemonClient(Address(served.url, token=TOKEN)) as client:
        yield client


async def test_everything_in_the_document_is_answered_as_it_says(checked: Checked, served: Served) -> None:
    name = "/services/{name}"
    assert [row["name"] for row in (await checked.ask("GET", "/services"))["services"]] == ["raw", "absent"]
    assert (await checked.ask("GET", name, name="raw"))["state"] == "stopped"
    assert (await checked.ask("POST", f"{name}/start", name="raw"))["state"] == "running"
    assert list((await checked.ask("GET", "/usage"))["services"]) == ["raw"]
    assert (await checked.ask("GET", "/check"))["ok"]
    assert (await checked.ask("POST", f"{name}/sleep", name="raw"))["state"] == "sleeping"
    assert (await checked.ask("POST", f"{name}/wake", name="raw"))["state"] == "running"
    assert (await checked.ask("POST", f"{name}/stop", name="raw"))["state"] == "stopped"
    for number in range(5):
        served.manager.journal("raw").add(f"line {number}")
    logs = await checked.ask("GET", f"{name}/logs", name="raw", query="?lines=2")
    assert logs == {"lines": ["line 3", "line 4"], "written": 5}
    assert (await checked.ask("POST", "/reload"))["added"] == ["new"]
    assert (await checked.ask("GET", "/health")) == {"status": "ok", "pid": 1, "instance": "one"}
    assert 'service_state{service="raw",state="stopped"} 1' in await checked.ask("GET", "/metrics")
    await checked.ask("GET", "/ready", status=503)
    served.control.ready = True
    await checked.ask("GET", "/ready")
    assert (await checked.ask("GET", "/openapi.json"))["openapi"] == "3.1.0"
    await checked.ask("POST", "/shutdown")
    assert served.ended.is_set()
    document = await checked.ask("GET", "/openapi.json")
    assert checked.asked == {(method, path) for path, row in document["paths"].items() for method in row}


@pytest.mark.parametrize(
    ("method", "template", "name", "query", "status", "error"),
    [
        ("GET", "/services/{name}", "rwa", "", 404, "UnknownService"),
        ("POST", "/services/{name}/wake", "rwa", "", 404, "UnknownService"),
        ("POST", "/services/{name}/start", "absent", "", 409, "ServiceUnavailable"),
        ("GET", "/services/{name}/logs", "raw", "?lines=many", 400, "DaemonError"),
        ("GET", "/services/{name}/logs", "raw", "?since=-1", 400, "DaemonError"),
    ],
)
async def test_an_error_says_its_kind_and_what_to_do(
    checked: Checked, method: str, template: str, name: str, query: str, status: int, error: str
) -> None:
    told = await checked.ask(method, template, name=name, query=query, status=status)
    assert told["error"] == error
    assert told["tried"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/services/raw/mcp/more", 404),
        ("GET", "/services//logs", 404),
        ("DELETE", "/services", 405),
        ("GET", "/services/raw/stop", 405),
        ("GET", "/services/..%2f..%2fetc", 404),
    ],
)
async def test_what_is_not_there_is_said(served: Served, method: str, path: str, status: int) -> None:
    async with served.http() as http:
        answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"] == "DaemonError"


@pytest.mark.parametrize("path", ["/services", "/services/raw/mcp", "/metrics", "/openapi.json"])
async def test_without_the_token_only_supervisors_are_answered(served: Served, path: str) -> None:
    async with served.http({}) as http:
        refused = await http.post(path) if path.endswith("mcp") else await http.get(path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert (await http.get("/health")).status_code == 200
        rebound = await http.get("/health", headers={"host": "evil.example"})
        assert rebound.status_code == 421


async def test_the_client_gives_what_the_daemon_says(client: DaemonClient, served: Served) -> None:
    assert {row["name"] for row in await client.services()} == {"raw", "absent"}
    assert (await client.do("raw", "start"))["state"] == "running"
    assert (await client.service("raw"))["starts"] == 1
    assert list((await client.usage())["services"]) == ["raw"]
    assert (await client.health())["instance"] == "one"
    journal = served.manager.journal("raw")
    journal.add("one")
    journal.add("two")
    assert await client.logs("raw", 10, since=1) == {"lines": ["two"], "written": 2}
    assert await client.logs("raw", 0) == {"lines": [], "written": 2}
    assert (await client.reload())["added"] == ["new"]
    await client.shutdown()
    assert served.ended.is_set()


async def test_the_client_raises_what_the_daemon_raised(client: DaemonClient, served: Served) -> None:
    with pytest.raises(UnknownService) as unknown:
        await client.service("rwa")
    assert unknown.value.nearest == ("raw", "absent")
    with pytest.raises(ServiceUnavailable, match="Nothing to run"):
        await client.do("absent", "start")
    async with served.manager.lease("raw"):
        with pytest.raises(SleepFailed, match="in use"):
            await client.do("raw", "sleep")
    with pytest.raises(DaemonError, match="no /services/a/b/c"):
        await client._ask("GET", "/services/a/b/c")  # pyright: ignore[reportPrivateUsage]


async def test_a_daemon_that_is_gone_or_something_else_is_told_apart(served: Served) -> None:
    async with DaemonClient(Address("http://127.0.0.1:1", token=TOKEN)) as gone:
        with pytest.raises(DaemonError, match="can't be reached"):
            await gone.services()
    async with DaemonClient(Address(f"{served.url}/metrics?", token=TOKEN)) as other:
        with pytest.raises(DaemonError):
            await other.health()
    async with DaemonClient(Address(served.url, token="wrong")) as stranger:
        with pytest.raises(DaemonError, match="not the token"):
            await stranger.services()
