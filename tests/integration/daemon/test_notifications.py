"""What a service says without being asked, and which clients hear it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from service_manager.model import State
from tests.integration.daemon.served import Served, serving
from tests.integration.daemon.wire_client import LEGACY, MODERN, Json, WireClient

pytestmark = pytest.mark.anyio

Stream = AsyncGenerator[Json]

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


async def next_of(stream: Stream) -> Json:
    """The next message of a stream."""
    with anyio.fail_after(10):
        return await anext(stream)


async def seen(client: WireClient) -> dict[str, Any]:
    """What the service has seen."""
    return json.loads(await client.text("seen"))


@asynccontextmanager
async def two_listening() -> AsyncGenerator[tuple[WireClient, Stream, WireClient, Stream]]:
    """Two clients of one service, each with what it hears."""
    async with (
        serving() as served,
        served.wire(LEGACY) as one,
        served.wire(LEGACY) as other,
        one.listening() as first,
        other.listening() as second,
    ):
        yield one, first, other, second


async def until_unsubscribed(client: WireClient) -> None:
    """Return once the service has no subscribers."""
    with anyio.fail_after(10):
        while (await seen(client))["subscribed"]:
            pass


async def test_changed_tools_are_told_to_every_session_and_listed_at_once() -> None:
    async with two_listening() as (one, first, other, second):
        await one.call("grow", name="grown")
        for stream, client in ((first, one), (second, other)):
            assert (await next_of(stream))["method"] == "notifications/tools/list_changed"
            tools = (await client.ask("tools/list"))["result"]["tools"]
            assert [tool["name"] for tool in tools][-1] == "grown"


async def test_an_updated_resource_is_told_to_who_subscribed_and_asked_for_once() -> None:
    async with two_listening() as (one, first, other, second):
        assert (await one.ask("resources/subscribe", {"uri": "note://1"}))["result"] == {}
        await one.ask("resources/subscribe", {"uri": "note://1"})
        await other.ask("resources/subscribe", {"uri": "note://2"})
        assert (await seen(one))["subscribed"] == ["note://1", "note://2"]
        await other.call("touch", uri="note://1")
        await other.call("touch", uri="note://2")
        assert (await next_of(first))["params"] == {"uri": "note://1"}
        # Its own comes first: it did not hear of the other's.
        assert (await next_of(second))["params"] == {"uri": "note://2"}


async def test_a_session_that_ends_takes_its_subscriptions_along() -> None:
    async with serving() as served, served.wire(LEGACY) as one, served.wire(LEGACY) as other:
        await one.ask("resources/subscribe", {"uri": "note://1"})
        await other.ask("resources/subscribe", {"uri": "note://1"})
        await other.ask("resources/unsubscribe", {"uri": "note://1"})
        assert (await seen(one))["subscribed"] == ["note://1"]
        await one.leave()
        await until_unsubscribed(other)


async def test_messages_reach_each_session_at_the_level_it_asked_for() -> None:
    async with two_listening() as (talkative, everything, terse, errors):
        assert (await talkative.ask("logging/setLevel", {"level": "debug"}))["result"] == {}
        await terse.ask("logging/setLevel", {"level": "error"})
        assert (await seen(terse))["level"] == "debug"
        await terse.call("say", level="debug", text="small")
        await terse.call("say", level="error", text="great")
        assert (await next_of(everything))["params"]["data"] == {"text": "small", "xMore": None}
        assert (await next_of(everything))["params"]["data"]["text"] == "great"
        assert (await next_of(errors))["params"]["data"]["text"] == "great"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("logging/setLevel", {"level": "shout"}),
        ("logging/setLevel", {}),
        ("resources/subscribe", {}),
        ("resources/subscribe", {"uri": 7}),
    ],
)
async def test_what_is_set_wrongly_is_refused_and_changes_nothing(method: str, params: Json) -> None:
    async with serving() as served, served.wire(LEGACY) as client:
        assert (await client.ask(method, params))["error"]["code"] == -32602
        assert {key: (await seen(client))[key] for key in ("level", "subscribed")} == {
            "level": "",
            "subscribed": [],
        }


async def test_a_stream_of_the_later_era_carries_what_it_asked_for_and_nothing_else() -> None:
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["note://1"]}
    async with serving() as served, served.wire(MODERN) as client, served.wire(MODERN) as other:
        stream = client.stream("subscriptions/listen", {"notifications": wanted}, number=5)
        acknowledged = await next_of(stream)
        assert acknowledged["params"]["notifications"] == wanted
        assert (await seen(other))["subscribed"] == ["note://1"]
        await other.call("say", level="error", text="not wanted")
        await other.call("touch", uri="note://2")
        await other.call("touch", uri="note://1")
        updated = await next_of(stream)
        assert updated["method"] == "notifications/resources/updated"
        assert updated["params"] == {"uri": "note://1", "_meta": {SUBSCRIPTION: 5}}
        await other.call("grow", name="grown")
        assert (await next_of(stream))["method"] == "notifications/tools/list_changed"
        await stream.aclose()
        await until_unsubscribed(other)


async def test_streams_end_with_the_daemon_and_say_so() -> None:
    async with serving() as served, served.wire(MODERN) as client, served.wire(LEGACY) as old:
        stream = client.stream(
            "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, number=5
        )
        await next_of(stream)
        async with old.listening() as standing:
            await close(served)
            last = await next_of(stream)
            assert last["result"]["_meta"][SUBSCRIPTION] == 5
            with pytest.raises(StopAsyncIteration):
                await next_of(stream)
            with pytest.raises(StopAsyncIteration):
                await next_of(standing)


async def close(served: Served) -> None:
    """What a daemon does when it ends."""
    served.endpoints.close_all()


async def test_subscribing_wakes_the_service_and_a_client_that_only_waits_does_not() -> None:
    async with serving() as served, served.wire(LEGACY) as client:
        await served.asleep()
        async with client.listening():
            assert served.manager.services["raw"].state is State.SLEEPING
            await client.ask("resources/subscribe", {"uri": "note://1"})
            assert served.manager.services["raw"].state is State.RUNNING
