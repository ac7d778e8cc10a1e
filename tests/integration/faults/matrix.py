"""One case of the fault matrix: a gateway, what is wrong with its line, and what came of a call over it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field

import anyio
from mcp.types import CallToolResult, TextContent

from tests.integration.faults.far_side import FarSide
from tests.support.gateway_server import TOKEN
from tests.support.toxics import Place, Toxic, ToxicProxy
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayError
from tool_router.gateway.contextforge import ContextForgeGateway
from tool_router.gateway.mcp_endpoint import McpEndpointGateway
from tool_router.gateway.protocol import Gateway, no_progress

RPC = "contextforge by rpc"
MCP = "contextforge by mcp"
ENDPOINT = "mcp endpoint"
KINDS = [RPC, MCP, ENDPOINT]

LIMIT_S = 1.0
"""The gateways' own limits, in the cases about them: far above what a busy machine needs to connect."""

LATE_S = 0.3
"""How long after its deadline a caller may be held."""

NEXT_S = 5.0
"""How long the call after the fault may take, on a machine that is busy with the other cases."""

FILLING = "x" * 20_000
"""Makes requests and answers long enough to have a middle."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is done.

    Attributes:
        kind: of gateway.
        toxics: what is wrong during the call.
        warm: whether a call went through before, so that connections and sessions exist.
        deadline_s: of the caller; None for none but a generous one.
        own_limits: whether the gateway's own limits are `LIMIT_S`.
        calls: how many are made under the fault; the second shows what the first has left behind.
    """

    kind: str
    toxics: tuple[Toxic, ...]
    warm: bool = True
    deadline_s: float | None = None
    own_limits: bool = False
    calls: int = 2

    def __str__(self) -> str:
        return f"{'warm' if self.warm else 'cold'} {self.kind}: {', '.join(map(str, self.toxics))}"


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        results: one for each call under the fault.
        late_s: how long after its deadline each caller was let go, less what the loop itself was late.
        texts: what the calls carried.
        arrived: how many of each arrived at the far side.
        after: what the call after the fault met; None when it gave the right answer.
    """

    results: list[CallToolResult | GatewayError | None] = field(
        default_factory=list[CallToolResult | GatewayError | None]
    )
    late_s: list[float] = field(default_factory=list[float])
    texts: list[str] = field(default_factory=list[str])
    arrived: list[int] = field(default_factory=list[int])
    after: object = None


def gateway_of(case: Case, url: str) -> Gateway:
    """The gateway of a case, not yet open."""
    call_s, connect_s = (LIMIT_S, LIMIT_S) if case.own_limits else (60.0, 30.0)
    if case.kind == ENDPOINT:
        return McpEndpointGateway(f"{url}/mcp", call_timeout_s=call_s, connect_timeout_s=connect_s)
    transport = "rpc" if case.kind == RPC else "mcp"
    return ContextForgeGateway(
        url, TOKEN, transport=transport, call_timeout_s=call_s, connect_timeout_s=connect_s
    )


def is_right(case: Case, result: object, text: str) -> bool:
    """Whether this is the echo of a text."""
    if not isinstance(result, CallToolResult) or result.is_error or len(result.content) != 1:
        return False
    block = result.content[0]
    if not isinstance(block, TextContent):
        return False
    return block.text == (json.dumps({"text": text}) if case.kind == RPC else text)


async def play(case: Case, far: FarSide, proxy: ToxicProxy) -> Outcome:
    """Call while the line is bad, then once when it is good again, over one gateway."""
    outcome = Outcome()
    gateway = gateway_of(case, proxy.url)
    async with gateway.open():
        if case.warm:
            await _call(case, gateway, "before")
        far.portal.call(proxy.poison, *case.toxics)
        if any(toxic.place is Place.CONNECT for toxic in case.toxics):
            far.portal.call(proxy.sever)
        for _ in range(case.calls):
            text = f"{uuid.uuid4()} {FILLING}"
            outcome.texts.append(text)
            outcome.results.append(await _call_under_fault(case, gateway, text, outcome))
        far.portal.call(proxy.heal)
        with anyio.move_on_after(NEXT_S):
            try:
                result = await _call(case, gateway, "after")
                outcome.after = None if is_right(case, result, "after") else result
            except GatewayError as error:
                outcome.after = error
            outcome.arrived = [far.calls_of(text) for text in outcome.texts]
            return outcome
        outcome.after = TimeoutError(f"no answer within {NEXT_S} s")
    return outcome


async def _call_under_fault(
    case: Case, gateway: Gateway, text: str, outcome: Outcome
) -> CallToolResult | GatewayError | None:
    """What a call gave; None when its deadline passed."""
    result: CallToolResult | GatewayError | None = None
    deadline = anyio.current_time() + (case.deadline_s or 10.0)
    due = deadline

    async def loop_is_late() -> None:
        nonlocal due
        await anyio.sleep_until(deadline)
        due = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(loop_is_late)
        with anyio.CancelScope(deadline=deadline):
            try:
                result = await _call(case, gateway, text)
            except GatewayError as error:
                result = error
        outcome.late_s.append(anyio.current_time() - due)
        tasks.cancel_scope.cancel()
    return result


async def _call(case: Case, gateway: Gateway, text: str) -> CallToolResult:
    name = "everything-echo" if case.kind == RPC else "echo"
    tool = Tool(id="everything::echo", name="echo", server="everything", call_name=name)
    return await gateway.call(tool, {"text": text}, no_progress)
