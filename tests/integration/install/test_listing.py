"""What is written down of a service does not tell where it was written down."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service_manager.install.listing import list_tools
from service_manager.model import Command

pytestmark = pytest.mark.anyio

LOCAL = """
import os, time
from mcp.server.mcpserver import MCPServer

server = MCPServer("local")

@server.tool(description=f"{os.environ.get('TZ')} is {time.tzname[0]}; {os.environ.get('LANG')}")
def now() -> str: ...

server.run()
"""


@pytest.mark.parametrize(
    ("env", "description"),
    [
        ({}, "UTC is UTC; C.UTF-8"),
        ({"TZ": "Asia/Tokyo"}, "Asia/Tokyo is JST; C.UTF-8"),
    ],
    ids=["the machine's", "the entry's own"],
)
async def test_a_listing_knows_the_time_zone_of_its_entry_but_not_of_the_machine(
    env: dict[str, str], description: str, tmp_path: Path
) -> None:
    command = Command((sys.executable, "-c", LOCAL), env)
    (tool,) = await list_tools("local", command, tmp_path / "log", 30)
    assert tool.description == description
