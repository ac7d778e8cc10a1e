"""`mcp dev tool_router/server.py -e .` opens in the MCP Inspector, and its command line lists our tool."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.integration.surface.conftest import ROOT, RouterHome

pytestmark = pytest.mark.slow

SERVER = ROOT / "tool_router" / "server.py"
MCP = f"mcp=={importlib.metadata.version('mcp')}"
READY = re.compile(r"up and running at")


@pytest.fixture
def inspector() -> Path:
    """The Inspector's executable; `.ci/run` installs it and uv, which it starts the server with."""
    found = shutil.which("mcp-inspector")
    if found and shutil.which("uv"):
        return Path(found)
    missing = "needs uv (pip install uv) and mcp-inspector (npm install -g @modelcontextprotocol/inspector)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def test_the_inspectors_command_line_lists_the_one_tool(
    inspector: Path, router_home: RouterHome, tmp_path: Path
) -> None:
    # Outside the project: inside it, uv would sync the project's own .venv and write a lock file.
    served = ["uv", "run", "--with", MCP, "--with-editable", str(ROOT), "mcp", "run", str(SERVER)]
    # The Inspector gives its server a bare environment: what names files and certificates is passed on.
    passed = [
        part
        for name, value in router_home.environ.items()
        if name.startswith(("TOOL_ROUTER_", "UV_", "SSL_CERT"))
        for part in ("-e", f"{name}={value}")
    ]
    done = subprocess.run(
        [str(inspector), "--cli", *passed, *served, "--method", "tools/list"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env=router_home.environ,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert [tool["name"] for tool in json.loads(done.stdout)["tools"]] == ["execute_task"]


def test_mcp_dev_opens_the_inspector(inspector: Path, router_home: RouterHome) -> None:
    port = free_port()
    environ = router_home.environ | {
        "MCP_AUTO_OPEN_ENABLED": "false",
        "CLIENT_PORT": str(port),
        "SERVER_PORT": str(free_port()),
    }
    command = [str(Path(sys.executable).parent / "mcp"), "dev", str(SERVER), "-e", str(ROOT)]
    # npx finds the installed Inspector from the directory that holds its node_modules.
    home = next(parent.parent for parent in inspector.parents if parent.name == "node_modules")
    with running(command, environ, home) as output:
        printed: list[str] = []
        for line in output:
            printed.append(line)
            if READY.search(line):
                break
        else:
            pytest.fail("".join(printed))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert page.status == 200


@contextmanager
def running(command: list[str], environ: dict[str, str], directory: Path) -> Generator[IO[str]]:
    """A process in a group of its own; gives its output, and ends the whole group."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        cwd=directory,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
