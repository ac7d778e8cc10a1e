"""Every error of tool_router, as one tree.

Each error says what was tried and what to do next; both reach the person who reads it.

    ToolRouterError
    ├── ConfigError                 a setting, a file or a value in it is wrong
    ├── StoreError                  the SQLite store can't be used
    ├── DataError                   a data set for `eval` can't be read
    ├── InstallError                a client's configuration can't be changed
    ├── UnknownTool                 no tool of that name; carries the nearest names
    │   └── AmbiguousTool           several tools share that bare name; carries their ids
    ├── ProviderError               a relevance provider failed; never leaves tool_router.ai
    └── GatewayError                a call or a listing through a gateway failed
        ├── GatewayUnreachable      nothing was sent: refused, no route, name unknown
        ├── GatewayTimeout          the deadline passed; the tool may or may not have run
        ├── GatewayRejected         the gateway answered 4xx (401, 403, 404, ...)
        ├── GatewayBusy             429: come back after `retry_after_s`
        ├── GatewayFailed           the gateway answered 5xx, or broke off
        ├── GatewayProtocolError    the answer is not what the protocol says (HTML, half a JSON)
        ├── UpstreamFailed          the gateway works, the service behind it does not
        ├── ToolUnavailable         the tool is known and can't be called now (disabled, offline, needs a key)
        └── BreakerOpen             not called: the breaker of target, service or tool is open
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class ToolRouterError(Exception):
    """Base of every error of this package.

    Attributes:
        tried: what was attempted and how it failed, one sentence.
        next_step: what the reader can do about it, one sentence; empty when there is nothing.
    """

    def __init__(self, tried: str, next_step: str = "") -> None:
        super().__init__(tried, next_step)
        self.tried = tried
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.tried} {self.next_step}".strip()


class ConfigError(ToolRouterError):
    """A setting, a configuration file or a value in it is wrong."""


class StoreError(ToolRouterError):
    """The persistent store can't be opened or written."""


class DataError(ToolRouterError):
    """A data set given to `eval` can't be read."""


class InstallError(ToolRouterError):
    """A client's configuration can't be read or changed."""


class ControlError(ToolRouterError):
    """A command could not reach a running router, or the router refused it."""


class UnknownTool(ToolRouterError):
    """No tool of the catalog has that name.

    Attributes:
        name: the name that was asked for.
        nearest: ids of the most similar tools, best first.
    """

    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        hint = (
            f"Did you mean: {', '.join(nearest)}?"
            if nearest
            else "Run `tool-router tools` to see every name."
        )
        super().__init__(f"There is no tool named {name!r} in the catalog.", hint)
        self.name = name
        self.nearest = tuple(nearest)


class AmbiguousTool(UnknownTool):
    """Several tools share that name, so that it names none of them; `nearest` holds their ids."""

    def __init__(self, name: str, ids: Sequence[str]) -> None:
        super().__init__(name, ids)
        self.tried = f"{len(ids)} tools are named {name!r}."
        self.next_step = f"Name one of: {', '.join(ids)}."


class ProviderError(ToolRouterError):
    """A relevance provider could not answer; the caller falls to the rung below.

    Attributes:
        reason: a short machine-readable cause: refused, timeout, model_missing, malformed, unusable
            (the client itself can not be set up), unsupported (the provider lacks that ability), not_ready
            (the model is not loaded), no_key, http_<status>.
    """

    def __init__(self, reason: str, tried: str, next_step: str = "") -> None:
        super().__init__(tried, next_step)
        self.reason = reason


class GatewayError(ToolRouterError):
    """A listing or a call through a gateway failed.

    Attributes:
        reached_tool: False only when the request provably never reached the tool, so that a retry is safe.
        counts_against: which breakers count this failure: any of "target", "service", "tool".
    """

    reached_tool: bool = True
    counts_against: frozenset[str] = frozenset()


class GatewayUnreachable(GatewayError):
    """Nothing was sent: connection refused, no route, unknown host, or the stdio command can't start."""

    reached_tool = False
    counts_against = frozenset({"target"})


class GatewayTimeout(GatewayError):
    """The deadline passed before an answer came; the tool may or may not have run."""

    counts_against = frozenset({"target", "service", "tool"})


class GatewayRejected(GatewayError):
    """The gateway refused the request with a 4xx status.

    Attributes:
        status: the HTTP status.
    """

    reached_tool = False

    def __init__(self, status: int, tried: str, next_step: str = "") -> None:
        super().__init__(tried, next_step)
        self.status = status


class GatewayBusy(GatewayError):
    """The gateway answered 429.

    Attributes:
        retry_after_s: seconds during which nothing may be sent to this target.
    """

    reached_tool = False

    def __init__(self, retry_after_s: float, tried: str, next_step: str = "") -> None:
        super().__init__(tried, next_step)
        self.retry_after_s = retry_after_s


class GatewayFailed(GatewayError):
    """The gateway answered 5xx or broke the connection off."""

    counts_against = frozenset({"target"})


class GatewayProtocolError(GatewayError):
    """The gateway's answer is not what its protocol says: HTML, half a JSON, a wrong shape."""

    counts_against = frozenset({"target"})


class UpstreamFailed(GatewayError):
    """The gateway works, but the service behind it failed or could not be reached."""

    counts_against = frozenset({"service", "tool"})


class ToolUnavailable(GatewayError):
    """The tool is known but can't be called now: disabled, offline, or its service lacks a need."""

    reached_tool = False


class BreakerOpen(GatewayError):
    """The call was not made because breakers are open.

    Attributes:
        keys: the breaker keys that refused, e.g. ``("target:main", "tool:time::convert_time")``.
        retry_after_s: seconds until a target may admit a call.
        last: what the last failed call met, one sentence; empty when that is not known.
        waits: seconds until each target is tried again, by its name; empty where there is only one.
    """

    reached_tool = False

    def __init__(
        self,
        keys: Sequence[str],
        retry_after_s: float,
        last: str = "",
        waits: Mapping[str, float] | None = None,
    ) -> None:
        what = ", ".join(key.replace(":", " ", 1) for key in keys)
        said = f" The last call: {last.rstrip('.')}." if last else ""
        several = dict(waits) if waits is not None and len(waits) > 1 else dict[str, float]()
        again = (
            "; ".join(f"{name} is tried again in {max(wait_s, 1):.0f} s" for name, wait_s in several.items())
            or f"It is tried again in {max(retry_after_s, 1):.0f} s"
        )
        super().__init__(f"Not called: {what} failed repeatedly, or asked for a pause.{said}", f"{again}.")
        self.keys = tuple(keys)
        self.retry_after_s = retry_after_s
        self.last = last
        self.waits = several


class PoolBusy(GatewayError):
    """The call was not made: every target has as many calls as it may, and enough calls wait.

    Attributes:
        retry_after_s: seconds after which a place may be free.
    """

    reached_tool = False

    def __init__(self, waiting: int, retry_after_s: float) -> None:
        super().__init__(
            f"Not called: every target is busy, and {waiting} calls wait already.",
            f"Try again in {retry_after_s:.0f} s, or raise balance.queue_limit or a target's capacity.",
        )
        self.retry_after_s = retry_after_s


class NoTargetFits(GatewayError):
    """The call was not made: no target in use has the labels that it requires.

    Attributes:
        labels: what was required.
    """

    reached_tool = False

    def __init__(self, labels: frozenset[str]) -> None:
        super().__init__(
            f"Not called: no target in use has the labels {', '.join(sorted(labels))}.",
            "Give a target these labels in router.yml, or require fewer.",
        )
        self.labels = labels


class NoTarget(GatewayError):
    """The call was not made: no target is in use."""

    reached_tool = False

    def __init__(self, drained: Sequence[str]) -> None:
        said = f"{', '.join(drained)} are drained" if drained else "none is registered"
        super().__init__(
            f"Not called: no target is in use; {said}.",
            "Run `tool-router targets resume NAME`."
            if drained
            else "Check the gateway section of router.yml.",
        )
