"""A router's services in a daemon: what is relayed, and what becomes of them when it ends or is killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from typing import Any

import anyio
import pytest
from mcp import MCPError
from structlog.testing import capture_logs

from service_manager.daemon.client import DaemonClient, find_daemon
from service_manager.daemon.launch import MODULE
from service_manager.errors import DaemonError, ServiceCrashed, UnknownService
from tests.integration.daemon.home import LIMIT_S, Home, running
from tests.integration.daemon.raw_service import ODD
from tests.integration.gateway.daemon_home import (
    address_of,
    gateway,
    gone,
    killed,
    pid_of,
    seen,
    served,
    text,
    tool,
    until,
)
from tool_router.errors import ToolUnavailable, UpstreamFailed
from tool_router.gateway.embedded import EmbeddedGateway
from tool_router.gateway.protocol import no_progress

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Generator[Home]:
    """A daemon that runs for all tests that leave it alive."""
    home = Home(tmp_path_factory.mktemp("lasting"), MODULE)
    home.write("raw", "other")
    with home.file.open("a") as file:
        file.write(f"  broken:\n    command: ['{sys.executable}', '-c', 'raise SystemExit(7)']\n")
    process = home.serve()
    yield home
    process.terminate()
    process.communicate()
    home.end()


# What is relayed.


async def test_a_result_comes_with_everything_its_service_put_into_it(lasting: Home) -> None:
    async with served(lasting) as (services, _):
        result = await services.call(tool("odd"), {}, no_progress)
        told = result.model_dump(by_alias=True, mode="json")
        assert told["structuredContent"] == ODD["structuredContent"]
        assert told["isError"] is True
        assert told["_meta"].items() >= ODD["_meta"].items()
        assert [found.name for found in await services.tools("raw")][:3] == ["echo", "odd", "fail"]


async def test_progress_is_told_in_order_and_only_where_somebody_listens(lasting: Home) -> None:
    steps: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    async with served(lasting) as (services, _):
        await services.call(tool("echo"), {"text": "it runs"}, no_progress)
        assert text(await services.call(tool("steps"), {"steps": 3}, hear)) == "stepped"
        assert steps == [(number, 10, f"step {number}") for number in (1, 2, 3)]
        sent = json.loads(text(await services.call(tool("params"), {"a": "ä"}, no_progress)))
        assert sent["arguments"] == {"a": "ä"}
        assert "progressToken" not in sent.get("_meta", {})


async def test_a_cancelled_call_is_cancelled_at_its_service_and_no_other(lasting: Home) -> None:
    async with served(lasting) as (services, _), anyio.create_task_group() as tasks:

        async def wait(name: str) -> None:
            await services.call(tool("wait"), {"name": name}, no_progress)

        scope = anyio.CancelScope()

        async def wait_and_be_cancelled() -> None:
            with scope:
                await wait("one")

        await services.call(tool("echo"), {"text": "it runs"}, no_progress)
        tasks.start_soon(wait_and_be_cancelled)
        tasks.start_soon(wait, "two")
        with anyio.fail_after(LIMIT_S):
            while (await seen(services))["waiting"] < 2:
                pass
            scope.cancel()
            while not (found := await seen(services))["cancelled"]:
                pass
        assert (found["cancelled"], found["waiting"]) == (["one"], 1)
        tasks.cancel_scope.cancel()


async def test_an_expected_service_is_woken_only_if_it_sleeps(lasting: Home) -> None:
    async with served(lasting) as (services, daemon):
        await services.call(tool("echo"), {"text": "it runs"}, no_progress)
        try:
            assert (await daemon.do("raw", "sleep"))["state"] == "sleeping"
        except Exception as error:  # noqa: BLE001  # SleepFailed where this machine can't
            pytest.skip(f"no sleep here: {error}")
        services.expect(["other", "raw", "nobody"])
        with anyio.fail_after(LIMIT_S):
            while (await daemon.service("raw"))["state"] != "running":
                pass
        assert (await daemon.service("other"))["state"] == "stopped"


async def test_a_daemon_at_a_port_is_called_alike(home: Home) -> None:
    home.serve("--port", "0")
    async with served(home) as (services, _):
        for length in (1, 100_000, 3):
            answer = await services.call(tool("echo"), {"text": "ü" * length}, no_progress)
            assert text(answer) == "ü" * length


# What fails.


async def test_what_fails_is_told_as_it_is_without_a_daemon(lasting: Home) -> None:
    async with gateway(lasting, "auto") as over, gateway(lasting, "off") as within:
        for called in (tool("fail"), tool("die"), tool("x", "broken"), tool("x", "nobody")):
            told: list[Exception] = []
            for embedded in (over, within):
                with pytest.raises((UpstreamFailed, ToolUnavailable)) as raised:
                    await embedded.call(called, {}, no_progress)
                told.append(raised.value)
            assert [type(error) for error in told] == [type(told[1])] * 2, called
            assert str(told[0]) == str(told[1])
            assert [getattr(error, "reached_tool", None) for error in told] == [
                getattr(told[1], "reached_tool", None)
            ] * 2
        assert [row["name"] for row in await rows(lasting)] == ["raw", "other", "broken"]


async def rows(home: Home) -> list[dict[str, Any]]:
    async with DaemonClient(await address_of(home)) as daemon:
        return await daemon.services()


async def test_an_error_a_service_answers_and_one_of_the_daemon_keep_their_kind(lasting: Home) -> None:
    async with served(lasting) as (services, _):
        with pytest.raises(MCPError, match="It is Monday") as raised:
            await services.call(tool("fail"), {}, no_progress)
        assert (raised.value.code, raised.value.data) == (-32050, {"again": [1, None]})
        with pytest.raises(UnknownService, match="Did you mean: raw"):
            await services.call(tool("echo", "rew"), {}, no_progress)
        with pytest.raises(ServiceCrashed, match="the disk is on fire"):
            await services.call(tool("die"), {}, no_progress)


async def test_a_daemon_killed_during_a_call_is_told_as_a_crash_and_before_it_as_gone(home: Home) -> None:
    home.serve()
    async with served(home) as (services, daemon):
        await services.call(tool("echo"), {"text": "it runs"}, no_progress)

        async def kill_when_it_waits() -> None:
            with anyio.fail_after(LIMIT_S):
                while (await daemon.service("raw"))["leases"] < 1:
                    pass
            await killed(await address_of(home))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill_when_it_waits)
            with pytest.raises(ServiceCrashed, match="The daemon that runs raw ended"):
                await services.call(tool("wait"), {"name": "one"}, no_progress)
        with pytest.raises(DaemonError, match="The daemon that runs raw is gone"):
            await services.call(tool("echo"), {"text": "again"}, no_progress)


# Which one is used.


async def test_by_default_a_running_daemon_is_used_and_without_one_the_router_itself(home: Home) -> None:
    async with gateway(home, "auto") as alone:
        assert running(await pid_of(alone))
        assert await find_daemon(home.file, home.environ) is None
    home.serve()
    async with gateway(home, "auto") as one, gateway(home, "auto") as two, gateway(home, "off") as own:
        assert await pid_of(one) == await pid_of(two) == (await rows(home))[0]["pid"]
        assert await pid_of(own) != await pid_of(one)


async def test_when_a_daemon_ends_the_next_call_is_made_within_the_router(home: Home) -> None:
    process = home.serve()
    async with gateway(home, "auto") as embedded:
        before = await pid_of(embedded)
        process.kill()
        process.wait(LIMIT_S)
        with capture_logs() as logs:
            after = await pid_of(embedded)
            assert await pid_of(embedded) == after
        assert after != before
        assert [log["event"] for log in logs].count("daemon_gone") == 1
        assert await find_daemon(home.file, home.environ) is None


async def test_a_shared_daemon_that_is_killed_is_started_again_by_the_next_call(home: Home) -> None:
    async with gateway(home, "shared") as embedded:
        assert await find_daemon(home.file, home.environ) is None
        first = await pid_of(embedded)
        address = await address_of(home)
        await killed(address)
        second = await pid_of(embedded)
        again = await address_of(home)
        assert again.instance != address.instance
        assert second != first


async def test_many_calls_that_find_the_daemon_gone_share_the_next_one(home: Home) -> None:
    pids: list[int] = []

    async def call(embedded: EmbeddedGateway) -> None:
        pids.append(await pid_of(embedded))

    async with gateway(home, "shared") as embedded:
        first = await pid_of(embedded)
        await killed(await address_of(home))
        with capture_logs() as logs:
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(call, embedded)
        assert len(pids) == 8
        assert [log["event"] for log in logs].count("daemon_used") == 1
        assert len(set(pids) - {first}) == 1


async def test_where_no_daemon_can_be_started_the_router_runs_services_and_says_so_once(home: Home) -> None:
    home.place.make()
    home.place.directory.chmod(0o755)
    async with gateway(home, "shared") as embedded:
        with capture_logs() as logs:
            pid = await pid_of(embedded)
            assert await pid_of(embedded) == pid
        (warned,) = [log for log in logs if log["event"] == "services_run_in_process"]
        assert warned["log_level"] == "warning"
        assert "Other users may enter" in warned["reason"]
    await until(lambda: gone(pid))


async def test_a_router_that_used_a_daemon_keeps_it_and_one_that_ended_does_not(home: Home) -> None:
    idle = {"TOOL_ROUTER_DAEMON_IDLE": "300ms"}
    async with gateway(home, "shared", **idle) as embedded:
        pid = await pid_of(embedded)
        address = await address_of(home)
        # Longer than it may be unused; nothing but time can show that.
        await anyio.sleep(0.9)
        assert await pid_of(embedded) == pid
    await until(lambda: gone(address.pid) and gone(pid))
