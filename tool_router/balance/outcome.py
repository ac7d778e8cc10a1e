"""What the outcome of a call says about its target, its service and its tool. Pure.

| outcome                                  | target  | service | tool    |
|------------------------------------------|---------|---------|---------|
| a result, the tool's own error included  | success | success | success |
| unreachable, 5xx, not the protocol       | failure |    -    |    -    |
| upstream failed                          | success | failure*| failure |
| timeout                                  | failure*| failure*| failure |
| 4xx, 429, tool unavailable, cancelled    |    -    |    -    |    -    |

`*` a failure that may be the next narrower key's fault. A run of such failures opens the wider breaker only
when more than one narrower key is in it: five timeouts of one hanging tool open that tool and leave its
siblings routable, while a dead service is noticed with the first failure of its second tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tool_router.balance.permit import Permit
from tool_router.balance.window import Result
from tool_router.catalog.model import Tool
from tool_router.errors import GatewayBusy, GatewayError, GatewayTimeout, UpstreamFailed

Scope = Literal["target", "service", "tool"]

SCOPES: tuple[Scope, ...] = ("target", "service", "tool")
"""Widest first."""


@dataclass(frozen=True, slots=True)
class CallKeys:
    """The breaker keys of one call, widest first."""

    by_scope: Mapping[Scope, str]

    @classmethod
    def of(cls, target: str, tool: Tool | None = None, *, shared: bool = True) -> CallKeys:
        """The keys of a call of this tool; of a listing without one.

        A tool whose service the gateway does not name has no service key: a common one would tie strangers
        together.

        Args:
            target: the target's name.
            tool: what is called.
            shared: whether services and tools have one breaker for all targets; else one at each.
        """
        keys: dict[Scope, str] = {"target": f"target:{target}"}
        at = "" if shared else f"@{target}"
        if tool is not None:
            if tool.server:
                keys["service"] = f"service:{tool.server}{at}"
            keys["tool"] = f"tool:{tool.id}{at}"
        return cls(keys)


def result_of(error: GatewayError, scope: Scope) -> Result | None:
    """What a failed call is in the window of its target or service; None says nothing about it."""
    if isinstance(error, GatewayTimeout):
        return Result.TIMEOUT
    if scope == "target":
        if isinstance(error, GatewayBusy):
            return Result.RATE_LIMITED
        if isinstance(error, UpstreamFailed):
            # It answered, and in its protocol: that is what a target is for.
            return Result.SUCCESS
    return Result.ERROR if scope in error.counts_against else None


def record_success(permits: Mapping[str, Permit]) -> None:
    """Return the permits of a call that got a result."""
    for permit in permits.values():
        permit.success()


def record_failure(keys: CallKeys, permits: Mapping[str, Permit], error: GatewayError) -> None:
    """Return the permits of a call that failed, each with what the error says about its key."""
    suspect = ""
    for scope in reversed(SCOPES):
        if scope not in keys.by_scope:
            continue
        key = keys.by_scope[scope]
        if scope in error.counts_against:
            permits[key].failure(suspect)
            suspect = key
        elif scope == "target" and isinstance(error, UpstreamFailed):
            # It answered, and in its protocol: that is what a target is for.
            permits[key].success()
        else:
            permits[key].ignore()
