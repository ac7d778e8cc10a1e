"""Routers and daemons that are killed, told to end, or left alone: nothing of their services is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from service_manager.daemon.client import DaemonClient, find_daemon
from service_manager.daemon.launch import MODULE
from tests.integration.daemon.home import LIMIT_S, Home
from tests.integration.daemon.wire_client import LEGACY, WireClient
from tests.integration.service_troubles.trouble import ARGV, ROOT, children_with, frozen, until
from tests.integration.surface.conftest import RouterHome
from tests.integration.surface.test_stdout import GREETING, Wire

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
]


@contextmanager
def router(home: RouterHome) -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        home.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=home.environ,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def call(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    spoken = Wire(process)
    spoken.ask("initialize", GREETING)
    spoken.notify("notifications/initialized")
    return spoken.call(task="x", tool="echo", arguments={"text": "hello"})


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, "a closed stdin"], ids=str)
async def test_no_service_outlives_its_router(tmp_path: Path, end: signal.Signals | str) -> None:
    marker, home = f"starts={tmp_path}/starts", RouterHome(tmp_path)
    service = {"command": [*ARGV, "deaf", marker], "stop_timeout": "200ms"}
    (tmp_path / "services.yml").write_text(json.dumps({"services": {"s": service}}))
    with router(home) as process:
        answer = await to_thread.run_sync(call, process)
        assert answer["result"]["content"][0]["text"] == "hello"
        assert children_with(marker)
        if isinstance(end, signal.Signals):
            process.send_signal(end)
        else:
            assert process.stdin is not None
            process.stdin.close()
        await to_thread.run_sync(lambda: process.wait(LIMIT_S))
        await until(lambda: not children_with(marker))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=str)
async def test_no_service_outlives_its_daemon_awake_asleep_or_starting(
    tmp_path: Path, end: signal.Signals
) -> None:
    marker, home = f"starts={tmp_path}/starts", Home(tmp_path, module=MODULE)
    # Told to end, it gives a start 5 seconds to come to something.
    starting = [("starting", ["silent"])] if end is signal.SIGKILL else []
    services = {
        name: {"command": [*ARGV, "deaf", marker, *more], "stop_timeout": "200ms"}
        for name, more in (("awake", []), ("asleep", []), *starting)
    }
    home.file.write_text(json.dumps({"services": services}))
    process = home.serve()
    try:
        address = await find_daemon(home.file, home.environ)
        assert address is not None
        async with DaemonClient(address) as daemon, address.http() as http:
            client = WireClient(http, "/services/awake/mcp", LEGACY)
            await client.connect()
            assert await client.text("echo", text="x") == "x"
            await daemon.do("asleep", "start")
            await daemon.do("asleep", "sleep")
            assert frozen((await daemon.service("asleep"))["pid"])
            async with anyio.create_task_group() as tasks:
                for name, _ in starting:
                    tasks.start_soon(daemon.do, name, "start")
                await until(lambda: len(children_with(marker)) == len(services))
                tasks.cancel_scope.cancel()
        process.send_signal(end)
        await to_thread.run_sync(lambda: process.wait(LIMIT_S))
        await until(lambda: not children_with(marker))
    finally:
        home.end()
