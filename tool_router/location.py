"""Where things are, told from the settings alone: cheap enough to ask before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service_manager.paths import services_file, state_dir
from tool_router.config import Settings


def store_path(settings: Settings, environ: Mapping[str, str]) -> Path:
    """The SQLite file of these settings."""
    return settings.store.path or state_dir(environ) / "router.sqlite"


def sessions_dir(environ: Mapping[str, str]) -> Path:
    """What routers derive their sessions at a gateway from, and who holds which."""
    return state_dir(environ) / "sessions"


def gateway_key(settings: Settings, environ: Mapping[str, str]) -> str:
    """What is behind the gateway, kind and address, never a secret; the store keeps a catalog for each."""
    gateway = settings.gateway
    match gateway.resolved_kind:
        case "contextforge":
            return f"contextforge:{gateway.url.rstrip('/')}"
        case "mcp":
            return f"mcp:{' '.join(gateway.command) or gateway.url.rstrip('/')}"
        case "embedded":
            return f"embedded:{services_file(settings.services.file, environ)}"
