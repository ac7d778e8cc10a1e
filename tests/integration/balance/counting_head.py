"""A loopback ContextForge in a process of its own, which notes the key of every call in a file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from starlette.responses import JSONResponse, Response

from tests.support.gateway_server import ContextForge, row
from tests.support.loopback import serve

ROWS = [
    row("put_note", "quick", annotations={"readOnlyHint": False, "idempotentHint": False}),
    row("look_up", "quick", annotations={"readOnlyHint": True, "idempotentHint": True}),
    row("put_note", "held", annotations={"readOnlyHint": False, "idempotentHint": False}),
]


class CountingHead(ContextForge):
    """Answers each call with its key, after as long as the call says.

    Args:
        file: heads share it; a line is written at once, so that none is torn.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(rows=list(ROWS))
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def _invoke(self, message: Mapping[str, Any], request_id: str, name: str) -> Response:
        arguments = message["params"]["arguments"]
        os.write(self._file, f"{arguments['key']}\n".encode())
        await anyio.sleep(arguments["hold_s"])
        result = {"content": [{"type": "text", "text": arguments["key"]}], "isError": False}
        return JSONResponse({"jsonrpc": "2.0", "result": result, "id": request_id})


async def run(file: Path) -> None:
    """Serve until the process is ended; the address is printed first."""
    async with serve(CountingHead(file).faulty) as loopback:
        sys.stdout.write(f"{loopback.url}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


def main() -> None:
    """Serve, counting into the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    anyio.run(run, parser.parse_args().file)


if __name__ == "__main__":
    main()
