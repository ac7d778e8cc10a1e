"""The gateways that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tool_router.config import Settings
from tool_router.errors import ConfigError
from tool_router.gateway.protocol import Gateway

if TYPE_CHECKING:
    from service_manager.manager import ServiceManager


def build_gateway(settings: Settings, environ: Mapping[str, str]) -> tuple[Gateway, ServiceManager | None]:
    """The first head of the gateway, and the service manager where it is the embedded one.

    Raises:
        ConfigError: services.yml or the token file is wrong.
    """
    gateway = settings.gateway
    if gateway.resolved_kind == "embedded":
        from tool_router.gateway.embedded import build_embedded

        embedded = build_embedded(settings.services.file, environ)
        return embedded, embedded.manager
    if gateway.command:
        from tool_router.gateway.mcp_endpoint import McpEndpointGateway

        return McpEndpointGateway(command=gateway.command), None
    return head_at(settings, gateway.url), None


def head_at(settings: Settings, url: str, *, host: str = "") -> Gateway:
    """The head of the gateway at an address.

    Args:
        settings: what kind of gateway it is, and how it is called.
        url: its address.
        host: the name it is known by, where `url` has a bare address.

    Raises:
        ConfigError: the token file is wrong.
    """
    gateway = settings.gateway
    if gateway.resolved_kind == "mcp":
        from tool_router.gateway.mcp_endpoint import McpEndpointGateway

        return McpEndpointGateway(url=url, token=token(settings))
    from tool_router.gateway.contextforge import ContextForgeGateway

    return ContextForgeGateway(url, token(settings), transport=gateway.transport, sessions=gateway.sessions)


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
