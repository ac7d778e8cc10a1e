"""The gateways that the settings name."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tool_router.config import Settings
from tool_router.errors import ConfigError
from tool_router.gateway.protocol import Gateway

if TYPE_CHECKING:
    from tool_router.gateway.embedded import EmbeddedGateway


class Heads:
    """Makes the heads of the gateway that the settings name.

    Args:
        session_seed: secret that the ids of ContextForge's sessions are derived from; empty draws one.
    """

    def __init__(self, session_seed: bytes = b"") -> None:
        self._seed = session_seed

    def first(self, settings: Settings, environ: Mapping[str, str]) -> tuple[Gateway, EmbeddedGateway | None]:
        """The head that `gateway` names itself, and once more where it is the embedded one.

        Raises:
            ConfigError: services.yml or the token file is wrong.
        """
        gateway = settings.gateway
        if gateway.resolved_kind == "embedded":
            from tool_router.gateway.embedded import build_embedded

            embedded = build_embedded(settings.services.file, environ, settings.services.daemon)
            return embedded, embedded
        if gateway.command:
            from tool_router.gateway.mcp_endpoint import McpEndpointGateway

            return McpEndpointGateway(command=gateway.command), None
        return self.at(settings, gateway.url), None

    def at(self, settings: Settings, url: str, address: tuple[str, int] | None = None) -> Gateway:
        """A head of the gateway.

        Args:
            settings: what kind of gateway it is, and how it is called.
            url: its address.
            address: the IP address and port that are connected to instead of those its name leads to.

        Raises:
            ConfigError: the token file is wrong.
        """
        from tool_router.gateway.connection_pool import Reach

        gateway = settings.gateway
        # One more than calls may take: with all of them busy a health check must still get through.
        reach = Reach(settings.balance.connections + 1, address)
        if gateway.resolved_kind == "mcp":
            from tool_router.gateway.mcp_endpoint import McpEndpointGateway

            return McpEndpointGateway(url=url, token=token(settings), reach=reach)
        from tool_router.gateway.contextforge import ContextForgeGateway

        return ContextForgeGateway(
            url,
            token(settings),
            transport=gateway.transport,
            sessions=gateway.sessions,
            session_seed=self._seed_of(url, address),
            reach=reach,
        )

    def _seed_of(self, url: str, address: tuple[str, int] | None) -> bytes:
        """A seed of its own for each head: two that share a store must not have the same sessions."""
        return hmac.digest(self._seed, f"{url} {address}".encode(), "sha256") if self._seed else b""


def token(settings: Settings) -> str | None:
    """The gateway's bearer token, from the setting or its file; None when there is none.

    Raises:
        ConfigError: the token file can't be read.
    """
    gateway = settings.gateway
    if value := gateway.token.get_secret_value():
        return value
    if gateway.token_file is None:
        return None
    try:
        return gateway.token_file.expanduser().read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The token file {gateway.token_file} can't be read: {error}.", "Check gateway.token_file."
        ) from error
