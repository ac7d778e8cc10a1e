"""Upstream sessions of ContextForge that calls share."""

from __future__ import annotations

import anyio
import pytest
from structlog.testing import capture_logs

from tests.support.gateway_server import TOKEN, ContextForge, contextforge, row
from tests.support.loopback import Fault, answer, never
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayBusy, GatewayError, GatewayRejected, GatewayTimeout, UpstreamFailed
from tool_router.gateway.contextforge import ContextForgeGateway
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio

ECHO = Tool(id="everything::echo", name="echo", server="everything", call_name="everything-echo")
NOW = Tool(
    id="time::get_current_time",
    name="get_current_time",
    server="time",
    call_name="time-get-current-time",
)


def sent_ids(fake: ContextForge) -> list[str]:
    """The session ids of the calls, in order; empty where none was sent."""
    calls = [seen for seen in fake.faulty.arrived("/rpc") if seen.message["method"] == "tools/call"]
    return [seen.headers.get("mcp-session-id", "") for seen in calls]


async def test_calls_share_a_session_of_their_service_and_of_no_other() -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            for _ in range(3):
                await gateway.call(ECHO, {}, no_progress)
                await gateway.call(NOW, {}, no_progress)
    assert len(set(sent_ids(fake)[::2])) == len(set(sent_ids(fake)[1::2])) == 1
    assert len(fake.upstream) == 2
    assert "" not in sent_ids(fake)


async def test_no_session_is_named_where_reuse_is_off() -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN, sessions=0)
        async with gateway.open():
            await gateway.call(ECHO, {}, no_progress)
    assert sent_ids(fake) == [""]


async def test_a_gateway_opened_with_a_kept_seed_uses_the_sessions_it_had() -> None:
    async with contextforge() as fake:
        for seed in (b"kept", b"kept", b"", b""):
            gateway = ContextForgeGateway(fake.url, TOKEN, session_seed=seed)
            async with gateway.open():
                await gateway.call(ECHO, {}, no_progress)
    ids = sent_ids(fake)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


async def test_a_restarted_service_costs_one_call_and_the_next_goes_without_the_session() -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            await gateway.call(ECHO, {}, no_progress)
            fake.restarts["everything"] = 1
            with pytest.raises(UpstreamFailed) as caught:
                await gateway.call(ECHO, {}, no_progress)
            assert not (await gateway.call(ECHO, {}, no_progress)).is_error
    assert sent_ids(fake)[1] != ""
    assert sent_ids(fake)[2] == ""
    # A service that died at work answers the same.
    assert caught.value.reached_tool


@pytest.mark.parametrize(
    ("result", "error", "kept"),
    [
        ({"code": -32603, "message": "Internal error"}, UpstreamFailed, False),
        (
            {"content": [{"type": "text", "text": "MCP server error: gone"}], "isError": True},
            UpstreamFailed,
            False,
        ),
        ({"code": -32003, "message": "Access denied"}, GatewayRejected, True),
        ({"code": -32602, "message": "Session is missing in params"}, GatewayRejected, True),
    ],
)
async def test_only_a_failure_behind_the_gateway_costs_the_session(
    result: dict[str, object], error: type[GatewayError], *, kept: bool
) -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            await gateway.call(ECHO, {}, no_progress)
            fake.results[ECHO.call_name] = result
            with pytest.raises(error):
                await gateway.call(ECHO, {}, no_progress)
            fake.results.clear()
            await gateway.call(ECHO, {}, no_progress)
    first, failed, last = sent_ids(fake)
    assert failed == first
    assert (last == first) is kept


async def test_a_tools_own_error_leaves_the_session() -> None:
    result = {"content": [{"type": "text", "text": "Invalid timezone"}], "isError": True}
    async with contextforge(results={ECHO.call_name: result}) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            for _ in range(3):
                assert (await gateway.call(ECHO, {}, no_progress)).is_error
    assert len(set(sent_ids(fake))) == 1


async def test_a_silent_session_is_given_up_with_the_call_that_was_cancelled() -> None:
    async with contextforge(slow={ECHO.call_name}) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            with anyio.move_on_after(1.05) as scope:
                await gateway.call(ECHO, {}, no_progress)
            assert scope.cancelled_caught
            fake.slow.clear()
            await gateway.call(ECHO, {}, no_progress)
    assert sent_ids(fake)[0] != ""
    assert sent_ids(fake)[1] == ""


async def test_a_gateway_that_takes_no_session_ids_is_asked_again_without_and_never_with_one() -> None:
    async with contextforge(stateful=True) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        with capture_logs() as logs:
            async with gateway.open():
                for _ in range(3):
                    assert not (await gateway.call(ECHO, {}, no_progress)).is_error
    assert [bool(session) for session in sent_ids(fake)] == [True, False, False, False]
    assert [entry["event"] for entry in logs].count("gateway_takes_no_session_ids") == 1


async def test_a_tool_that_hangs_holds_up_no_other_of_its_service() -> None:
    rows = [row("echo", "everything"), row("hang", "everything")]
    hang = Tool(id="everything::hang", name="hang", server="everything", call_name="everything-hang")
    async with contextforge(rows=rows, slow={hang.call_name}) as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN, sessions=2)
        nothing: dict[str, str] = {}
        async with gateway.open(), anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(gateway.call, hang, nothing, no_progress)
            await fake.started.wait()
            with anyio.fail_after(5):
                for _ in range(5):
                    assert not (await gateway.call(ECHO, {}, no_progress)).is_error
            fake.release.set()


async def test_a_service_listed_as_unreachable_gets_new_sessions() -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN)
        async with gateway.open():
            await gateway.call(ECHO, {}, no_progress)
            fake.restarts["everything"] = 1
            fake.rows[1]["reachable"] = False
            await gateway.list_tools()
            fake.rows[1]["reachable"] = True
            assert not (await gateway.call(ECHO, {}, no_progress)).is_error
    assert len(set(sent_ids(fake))) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answer(429, "{}", headers={"retry-after": "7"}), GatewayBusy),
        (answer(503, "no"), GatewayError),
        (never, GatewayTimeout),
    ],
)
async def test_a_gateways_own_failure_leaves_the_session(fault: Fault, error: type[GatewayError]) -> None:
    async with contextforge() as fake:
        gateway = ContextForgeGateway(fake.url, TOKEN, call_timeout_s=0.2)
        async with gateway.open():
            await gateway.call(ECHO, {}, no_progress)
            fake.faulty.faults["/rpc"] = fault
            with pytest.raises(error):
                await gateway.call(ECHO, {}, no_progress)
            fake.faulty.faults.clear()
            await gateway.call(ECHO, {}, no_progress)
    assert len(set(sent_ids(fake))) == 1
