"""What an endpoint answers by itself, and how requests and answers are shaped on their way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp import MCPError
from mcp.types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    LOG_LEVEL_META_KEY,
    METHOD_NOT_FOUND,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)
from mcp.types.methods import CACHEABLE_METHODS

from service_manager.daemon.wire import error_to_json
from service_manager.errors import ServiceManagerError
from service_manager.lifecycle.known import LISTINGS, Known

NOT_RELAYED = frozenset({"tasks"})
"""Capabilities that are not passed on: a task is told to one client, and this service has many."""

OURS = frozenset(
    {
        "progressToken",
        PROTOCOL_VERSION_META_KEY,
        CLIENT_INFO_META_KEY,
        CLIENT_CAPABILITIES_META_KEY,
        LOG_LEVEL_META_KEY,
    }
)
"""What a client says in ``_meta`` of itself; the session with the service says its own."""

ASKS_BACK = "input_required"
"""The ``resultType`` of an answer that asks the client something (protocol 2026-07-28)."""


def capabilities(known: Known) -> dict[str, Any]:
    """What the endpoint offers: what the service does, without what can't be relayed.

    Changed lists are always told of: a service may come back from a restart with others.
    """
    offered: dict[str, Any] = {
        name: value
        for name, value in _object(known.about.get("capabilities")).items()
        if name not in NOT_RELAYED
    }
    if not known.about:
        # Only its lock is known; a service that was never started may be able to do more.
        offered = {LISTINGS[method][0]: {} for method in known.listings} or {"tools": {}}
    for name in {capability for capability, _ in LISTINGS.values()} & offered.keys():
        offered[name] = {**_object(offered[name]), "listChanged": True}
    return offered


def server_info(known: Known, name: str) -> dict[str, Any]:
    """Who the service is; by the name of its entry before it said so itself."""
    return {"name": name, "version": "", **_object(known.about.get("serverInfo"))}


def introduced(base: Mapping[str, Any], known: Known, name: str) -> dict[str, Any]:
    """The answer to ``initialize``, from the SDK's own, which holds the negotiated version."""
    answer = {**base, "capabilities": capabilities(known), "serverInfo": server_info(known, name)}
    return _with_instructions(answer, known)


def discovered(base: Mapping[str, Any], known: Known, name: str) -> dict[str, Any]:
    """The answer to ``server/discover``, from the SDK's own, which holds the versions."""
    meta = {**_object(base.get("_meta")), SERVER_INFO_META_KEY: server_info(known, name)}
    return _with_instructions({**base, "capabilities": capabilities(known), "_meta": meta}, known)


def listing(known: Known, method: str, params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a service lists, on one page; None when that is not known and it has to be asked.

    Raises:
        MCPError: it lists nothing of the kind, or there is no such page.
    """
    whole = known.listings.get(method)
    if whole is None:
        if known.about and LISTINGS[method][0] not in _object(known.about.get("capabilities")):
            raise MCPError(METHOD_NOT_FOUND, "Method not found", method)
        return None
    if (params or {}).get("cursor") is not None:
        raise MCPError(INVALID_PARAMS, "There is one page only, and no cursor.")
    return dict(whole)


def input_schema(known: Known, tool: str) -> Mapping[str, Any] | None:
    """The schema of a tool's arguments; None when it is not known."""
    for entry in known.listings.get("tools/list", {}).get("tools", ()):
        if entry.get("name") == tool:
            schema: Any = entry.get("inputSchema")
            return cast("Mapping[str, Any]", schema) if isinstance(schema, Mapping) else None
    return None


def upstream(params: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
    """The parameters as the service gets them, and whether the client wants to hear of progress."""
    if params is None:
        return None, False
    meta: Any = params.get("_meta")
    if not isinstance(meta, Mapping):
        return dict(params), False
    told = cast("Mapping[str, Any]", meta)
    kept = {key: value for key, value in told.items() if key not in OURS}
    passed = {key: value for key, value in params.items() if key != "_meta"}
    return ({**passed, "_meta": kept} if kept else passed), told.get("progressToken") is not None


def answered(result: dict[str, Any], method: str, known: Known, name: str, *, modern: bool) -> dict[str, Any]:
    """A result as the client gets it: as it came, with what the protocol 2026-07-28 wants to be there.

    Raises:
        MCPError: the service asks something back, which only clients of that protocol can answer.
    """
    if not modern:
        if result.get("resultType") == ASKS_BACK:
            raise MCPError(INTERNAL_ERROR, f"{name} asks something back, which this client can't answer.")
        return result
    result.setdefault("resultType", "complete")
    if method in CACHEABLE_METHODS:
        # Stale at once: the endpoint answers from what it knows, and asking again costs nothing.
        result.setdefault("ttlMs", 0)
        result.setdefault("cacheScope", "private")
    meta = _object(result.get("_meta"))
    if meta.get(SERVER_INFO_META_KEY) is None:
        result["_meta"] = {**meta, SERVER_INFO_META_KEY: server_info(known, name)}
    return result


def as_mcp_error(error: ServiceManagerError) -> MCPError:
    """An error of ours for a client of MCP: what happened, and in ``data`` its kind and what to do."""
    return MCPError(INTERNAL_ERROR, str(error), error_to_json(error))


def _with_instructions(answer: dict[str, Any], known: Known) -> dict[str, Any]:
    instructions = known.about.get("instructions")
    if instructions:
        answer["instructions"] = instructions
    else:
        answer.pop("instructions", None)
    return answer


def _object(value: Any) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}
