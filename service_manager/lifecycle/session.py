"""What a lease yields: requests to one running service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
from mcp import ClientSession, MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    Request,
    Tool,
)
from mcp.types import PaginatedRequestParams as Page
from pydantic import RootModel, TypeAdapter, ValidationError

from service_manager.drivers.endings import End
from service_manager.errors import ServiceCrashed
from service_manager.lifecycle.known import LISTINGS, Known
from service_manager.model import Progress

MAX_PAGES = 1_000
"""A listing with more pages never ends."""

EXIT_S = 1.0
"""How long the exit of a service whose streams have closed is waited for."""

_ANSWER: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(CallToolResult | InputRequiredResult)


def request_key(method: str, params: Mapping[str, Any] | None) -> str:
    """What requests of one kind have in common: the method, and of a tool's call the tool."""
    return f"{method} {params.get('name', '')}" if params and method == "tools/call" else method


class RawRequest(Request[dict[str, Any] | None, str]):
    """Any request, as it is on the wire."""

    params: dict[str, Any] | None = None


class RawResult(RootModel[dict[str, Any]]):
    """Any result, as it is on the wire."""


class ServiceSession:
    """Requests to one service, any number at once; cancelling one cancels it upstream.

    Args:
        name: the service, for messages.
        session: the SDK's session, open.
        end: how the service ended, and when.
        lost: told when the service has hung up, whether or not it still runs.
        answered: told of each answered request: what it was for (`request_key`), and the seconds it took.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        session: ClientSession,
        end: End,
        lost: Callable[[], None],
        answered: Callable[[str, float], None],
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._session = session
        self._end = end
        self._lost = lost
        self._answered = answered
        self._clock = clock

    @property
    def protocol_version(self) -> str:
        """The protocol version that was negotiated."""
        return self._session.protocol_version or ""

    @property
    def about(self) -> dict[str, Any]:
        """What it said of itself, as on the wire: ``serverInfo``, ``capabilities``, ``instructions``."""
        session = self._session
        said = session.initialize_result or session.discover_result
        about = {} if said is None else said.model_dump(by_alias=True, mode="json", exclude_none=True)
        if "serverInfo" not in about and session.server_info is not None:
            about["serverInfo"] = session.server_info.model_dump(
                by_alias=True, mode="json", exclude_none=True
            )
        return {**about, "protocolVersion": self.protocol_version}

    async def request(
        self, method: str, params: Mapping[str, Any] | None, listener: Progress | None = None
    ) -> dict[str, Any]:
        """Make any request and return its result as it came.

        Args:
            method: as on the wire, e.g. ``resources/read``.
            params: as on the wire; without a progress token, which is ours to give.
            listener: told of the progress of the request, which is asked for only then.

        Raises:
            ServiceCrashed: the service died before it answered.
            MCPError: it answered with an error.
        """

        async def relay(progress: float, total: float | None, message: str | None) -> None:
            assert listener is not None
            await listener(progress, total, message or "")

        asked = RawRequest(method=method, params=None if params is None else dict(params))
        began = self._clock()
        try:
            result = await self._session.send_request(
                asked, RawResult, progress_callback=None if listener is None else relay
            )
        except MCPError as error:
            raise await self._crash_or(error) from error
        except ValidationError as error:
            raise self._improper(method, error) from error
        self._answered(request_key(method, params), self._clock() - began)
        return result.root

    async def learn(self) -> Known:
        """What it says of itself, and everything it lists, over all pages.

        Raises:
            ServiceCrashed: it died meanwhile.
            MCPError: it answered with an error.
        """
        about = self.about
        able: Mapping[str, Any] = about.get("capabilities", {})
        listings: dict[str, Mapping[str, Any]] = {}
        for method, (capability, key) in LISTINGS.items():
            if capability in able:
                try:
                    listings[method] = await self._listing(method, key)
                except MCPError as error:
                    # Not everybody who has resources has templates of them.
                    if error.code != METHOD_NOT_FOUND:
                        raise
        return Known(about, listings)

    async def _listing(self, method: str, key: str) -> Mapping[str, Any]:
        whole: dict[str, Any] = {}
        items: list[Any] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.request(method, {"cursor": cursor} if cursor else None)
            whole = {**page, **whole}
            items += page.get(key, [])
            cursor = page.get("nextCursor")
            if not cursor:
                break
        whole.pop("nextCursor", None)
        return {**whole, key: items}

    async def list_tools(self) -> list[Tool]:
        """Every tool of the service, over all pages.

        Raises:
            ServiceCrashed: it died meanwhile.
            MCPError: it answered with an error.
        """
        tools: list[Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            try:
                page = await self._session.list_tools(params=Page(cursor=cursor) if cursor else None)
            except MCPError as error:
                raise await self._crash_or(error) from error
            tools += page.tools
            cursor = page.next_cursor
            if not cursor:
                break
        return tools

    async def call_tool(self, name: str, arguments: Mapping[str, Any], listener: Progress) -> CallToolResult:
        """Call a tool and return its result untouched; it is not validated, because by then the tool has run.

        Raises:
            ServiceCrashed: the service died before it answered.
            MCPError: it answered with an error, or asked something back.
        """

        async def relay(progress: float, total: float | None, message: str | None) -> None:
            await listener(progress, total, message or "")

        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))
        began = self._clock()
        try:
            answer = await self._session.send_request(request, _ANSWER, progress_callback=relay)
        except MCPError as error:
            raise await self._crash_or(error) from error
        except ValidationError as error:
            raise self._improper("tools/call", error) from error
        self._answered(request_key("tools/call", {"name": name}), self._clock() - began)
        if isinstance(answer, InputRequiredResult):
            raise MCPError(-32603, f"{name} asks something back before it runs, which can't be relayed.")
        return answer

    def _improper(self, method: str, error: ValidationError) -> MCPError:
        said = f"{self._name} answered {method} with what the protocol does not allow"
        return MCPError(INTERNAL_ERROR, f"{said}: {error.errors()[0]['msg']}.")

    async def _crash_or(self, error: MCPError) -> Exception:
        if error.code != CONNECTION_CLOSED:
            return error
        # Its streams close a moment before its exit code is known.
        with anyio.move_on_after(EXIT_S):
            await self._end.wait()
        self._lost()
        ending = self._end.epitaph()
        how = f"died during the request ({ending})" if ending else "hung up on the request"
        return ServiceCrashed(f"{self._name} {how}.", "It is started again by the next call.")
