"""A service's endpoint: what it answers by itself, what it relays, and how."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from service_manager.endpoint.endpoint import Endpoint
from service_manager.model import State
from tests.integration.daemon.raw_service import ABOUT, FAILURE, ODD, RESOURCE
from tests.integration.daemon.served import RAW, Served, serving
from tests.integration.daemon.standin import Service, Standin
from tests.integration.daemon.wire_client import LEGACY, MODERN, Era, WireClient
from tests.support.loopback import serve

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", [LEGACY, MODERN])
SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def untouched(result: dict[str, Any], era: Era) -> dict[str, Any]:
    """A result without what the protocol of 2026 adds to it."""
    if era == LEGACY:
        return result
    kept = {key: value for key, value in result.items() if key not in ("resultType", "ttlMs", "cacheScope")}
    meta = {key: value for key, value in kept.pop("_meta").items() if key != SERVER_INFO}
    return {**kept, "_meta": meta} if meta else kept


async def seen(client: WireClient) -> dict[str, Any]:
    """What the service has seen."""
    return json.loads(await client.text("seen"))


async def until_seen(client: WireClient, key: str, value: object) -> None:
    """Return once the service has seen something."""
    with anyio.fail_after(10):
        while (await seen(client))[key] != value:
            pass


def sleeping(served: Served, starts: int = 1) -> bool:
    """Whether the service sleeps, and was not started since."""
    service = served.manager.services["raw"]
    return (service.state, service.starts) == (State.SLEEPING, starts)


@ERAS
async def test_a_sleeping_service_is_introduced_and_listed_and_sleeps_on(era: Era) -> None:
    async with serving() as served, served.http() as http:
        await served.asleep()
        client = WireClient(http, "/services/raw/mcp", era)
        said = await client.connect()
        tools = (await client.ask("tools/list"))["result"]
        prompts = (await client.ask("prompts/list"))["result"]
        resources = (await client.ask("resources/list"))["result"]
        templates = (await client.ask("resources/templates/list"))["result"]
        assert sleeping(served)
    info = said["serverInfo"] if era == LEGACY else said["_meta"][SERVER_INFO]
    assert {key: info[key] for key in ("name", "version", "title")} == {
        key: ABOUT["serverInfo"][key] for key in ("name", "version", "title")
    }
    assert said["instructions"] == ABOUT["instructions"]
    assert "tasks" not in said["capabilities"]
    assert said["capabilities"]["experimental"] == {"x-odd": {"depth": 1}}
    assert [tool["name"] for tool in tools["tools"]][:3] == ["echo", "odd", "fail"]
    assert len(tools["tools"]) == 11
    assert tools["tools"][0]["xHint"] is None
    assert "nextCursor" not in tools
    assert prompts["prompts"] == [{"name": "greet"}]
    assert resources["resources"] == [{"uri": "note://1", "name": "first"}]
    assert templates["resourceTemplates"] == []


async def test_pings_and_open_streams_let_a_service_sleep() -> None:
    async with serving() as served:
        await served.asleep()
        async with served.wire(LEGACY) as client, client.listening():
            for _ in range(5):
                assert (await client.ask("ping"))["result"] == {}
            assert sleeping(served)
        async with served.wire(MODERN) as modern:
            stream = modern.stream("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            async for message in stream:
                assert message["method"] == "notifications/subscriptions/acknowledged"
                break
            await stream.aclose()
            assert sleeping(served)


@ERAS
async def test_a_call_wakes_it(era: Era) -> None:
    async with serving() as served:
        await served.asleep()
        async with served.wire(era) as client:
            assert await client.text("echo", text="good morning") == "good morning"
        assert served.manager.services["raw"].starts == 2


@ERAS
async def test_a_service_nothing_is_known_of_is_started_to_be_known(era: Era) -> None:
    async with serving() as served, served.http() as http:
        said = await WireClient(http, "/services/raw/mcp", era).connect()
        assert said["instructions"] == ABOUT["instructions"]
        assert served.manager.services["raw"].starts == 1


@ERAS
async def test_results_come_through_as_they_are(era: Era) -> None:
    async with serving() as served, served.wire(era) as client:
        assert untouched((await client.call("odd"))["result"], era) == ODD
        read = await client.ask("resources/read", {"uri": "note://1"})
        assert untouched(read["result"], era) == RESOURCE
        got = await client.ask("prompts/get", {"name": "greet"})
        assert untouched(got["result"], era) == {"messages": [], "xName": "greet"}
        asked = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "a", "value": "x"}}
        completed = await client.ask("completion/complete", asked)
        assert untouched(completed["result"], era) == {"completion": {"values": ["x!"]}}
        novel = await client.ask("x/odd", {"deep": [None, {"a": 1.5}]})
        assert untouched(novel["result"], era) == {"asked": {"deep": [None, {"a": 1.5}]}}


@ERAS
async def test_a_request_reaches_the_service_as_it_was_made(era: Era) -> None:
    arguments = {"none": None, "deep": [{"a": [None]}], "text": "ä"}
    async with serving() as served, served.wire(era) as client:
        params = {"name": "params", "arguments": arguments, "xMore": 1, "_meta": {"x/own": {"k": None}}}
        answer = await client.ask("tools/call", params)
    assert json.loads(answer["result"]["content"][0]["text"]) == params


@ERAS
async def test_an_error_of_the_service_comes_through_as_it_is(era: Era) -> None:
    async with serving() as served, served.wire(era) as client:
        assert (await client.call("fail"))["error"] == FAILURE
        missing = await client.ask("no/such", {})
    assert missing["error"]["code"] == -32601
    assert missing["error"]["data"] == {"asked": "no/such"}


@ERAS
async def test_a_crash_says_what_happened_and_the_next_call_finds_it_running_again(era: Era) -> None:
    async with serving() as served, served.wire(era) as client:
        error = (await client.call("die"))["error"]
        assert error["code"] == -32603
        assert error["data"]["error"] == "ServiceCrashed"
        assert error["data"]["next_step"]
        await served.manager.stop("raw")
        assert await client.text("echo", text="again") == "again"


@ERAS
async def test_a_service_that_cannot_run_here_still_introduces_itself(era: Era) -> None:
    async with serving(absent=()) as served, served.http() as http:
        client = WireClient(http, "/services/absent/mcp", era)
        said = await client.connect()
        info = said["serverInfo"] if era == LEGACY else said["_meta"][SERVER_INFO]
        assert info["name"] == "absent"
        error = (await client.call("echo", text="x"))["error"]
    assert error["code"] == -32603
    assert error["data"] == {
        "error": "ServiceUnavailable",
        "tried": "absent can't run here. Nothing to run.",
        "next_step": "Install something.",
    }


@ERAS
async def test_each_client_hears_of_its_own_progress_under_its_own_token(era: Era) -> None:
    heard: dict[str, list[dict[str, Any]]] = {}

    async def step(served: Served, token: str, steps: int) -> None:
        async with served.wire(era) as client:
            params = {"name": "steps", "arguments": {"steps": steps}, "_meta": {"progressToken": token}}
            heard[token] = [message async for message in client.stream("tools/call", params)]

    async with serving() as served:
        await served.manager.ready("raw")
        async with anyio.create_task_group() as tasks:
            for steps in range(1, 6):
                tasks.start_soon(step, served, f"token {steps}", steps)
        async with served.wire(era) as client:
            quiet = [
                m async for m in client.stream("tools/call", {"name": "steps", "arguments": {"steps": 3}})
            ]
    for steps in range(1, 6):
        *told, answer = heard[f"token {steps}"]
        assert [message["params"]["progress"] for message in told] == list(range(1, steps + 1))
        assert {message["params"]["progressToken"] for message in told} == {f"token {steps}"}
        assert told[-1]["params"]["message"] == f"step {steps}"
        assert answer["result"]["content"][0]["text"] == "stepped"
    assert [list(message) for message in quiet] == [["jsonrpc", "id", "result"]]


async def test_a_cancelled_request_is_cancelled_at_the_service_and_nobody_elses() -> None:
    async with serving() as served, served.wire(LEGACY) as client, served.wire(LEGACY) as other:

        async def wait(waiting: WireClient, name: str) -> None:
            params = {"name": "wait", "arguments": {"name": name}}
            async for message in waiting.stream("tools/call", params, number=77):
                assert "error" in message

        async with anyio.create_task_group() as tasks:
            # The ids of both are the same: they are the clients' own.
            tasks.start_soon(wait, client, "mine")
            tasks.start_soon(wait, other, "theirs")
            await until_seen(client, "waiting", 2)
            await client.notify("notifications/cancelled", {"requestId": 77})
            await until_seen(client, "cancelled", ["mine"])
            assert (await seen(client))["waiting"] == 1
            assert served.manager.services["raw"].leases == 1
            tasks.cancel_scope.cancel()


async def test_closing_a_stream_of_the_later_era_cancels_the_request_and_nobody_elses() -> None:
    async with serving() as served, served.wire(MODERN) as client, served.wire(MODERN) as other:

        async def wait(waiting: WireClient, name: str, life: anyio.CancelScope) -> None:
            with life:
                await waiting.call("wait", name=name)

        mine, theirs = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, client, "mine", mine)
            tasks.start_soon(wait, other, "theirs", theirs)
            await until_seen(other, "waiting", 2)
            mine.cancel()
            await until_seen(other, "cancelled", ["mine"])
            assert (await seen(other))["waiting"] == 1
            theirs.cancel()
            await until_seen(other, "cancelled", ["mine", "theirs"])


async def test_there_is_no_endpoint_for_a_service_there_is_not() -> None:
    async with serving() as served, served.http() as http:
        answer = await http.post("/services/rwa/mcp", json={})
        assert answer.status_code == 404
        assert answer.json()["error"] == "UnknownService"
        assert answer.json()["nearest"] == ["raw"]


async def test_a_session_that_ended_is_not_found_and_its_client_opens_another() -> None:
    async with serving() as served, served.wire(LEGACY) as client:
        await client.leave()
        error = (await client.ask("ping"))["error"]
        assert error["message"] == "Session not found"
        await client.connect()
        assert (await client.ask("ping"))["result"] == {}


async def test_a_session_nobody_uses_ends_and_an_open_stream_is_use() -> None:
    manager = Standin({"raw": Service(RAW)})
    endpoint = Endpoint("raw", manager, session_idle_s=0.2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await endpoint.handle(scope, receive, send)

    async with (
        manager.open(),
        endpoint.open(),
        serve(app) as loopback,
        httpx2.AsyncClient(base_url=loopback.url, timeout=20, trust_env=False, verify=False) as http,
    ):
        left, used = (WireClient(http, "/mcp", LEGACY) for _ in range(2))
        await used.connect()
        async with used.listening():
            await left.connect()
            with anyio.fail_after(10):
                while endpoint.sessions > 1:
                    await anyio.lowlevel.checkpoint()
            assert (await left.ask("ping"))["error"]["message"] == "Session not found"
            assert (await used.ask("ping"))["result"] == {}
