"""Two hundred clients at once on one service that speaks over standard streams: each gets its own answers."""

from __future__ import annotations

import anyio
import pytest

from tests.integration.daemon.served import serving
from tests.integration.daemon.wire_client import LEGACY, MODERN, Era

pytestmark = pytest.mark.anyio

CLIENTS = 200
CALLS = 3


async def test_every_answer_is_its_own_clients() -> None:
    wrong: list[str] = []
    answered = 0

    async def ask(era: Era, client_number: int) -> None:
        nonlocal answered
        async with served.wire(era) as client:
            for call in range(CALLS):
                text = f"{client_number}/{call}/{'x' * (client_number * 7 % 500)}"
                # Every client numbers its requests alike.
                answer = await client.ask("tools/call", {"name": "echo", "arguments": {"text": text}})
                told = answer["result"]["content"][0]["text"]
                answered += 1
                if told != text or answer["id"] != call + (2 if era == MODERN else 1):
                    wrong.append(f"{text[:20]} got {told[:20]} as {answer['id']}")

    async with serving() as served:
        await served.manager.ready("raw")
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(CLIENTS):
                    tasks.start_soon(ask, LEGACY if number % 2 else MODERN, number)
        assert served.manager.services["raw"].starts == 1
    assert wrong == []
    assert answered == CLIENTS * CALLS
