"""What is known of a service without asking it: what it said of itself and listed when it ran last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service_manager.model import LockedService

LISTINGS: Mapping[str, tuple[str, str]] = {
    "tools/list": ("tools", "tools"),
    "prompts/list": ("prompts", "prompts"),
    "resources/list": ("resources", "resources"),
    "resources/templates/list": ("resources", "resourceTemplates"),
}
"""The methods that list something: the capability that offers them, and the key of their results."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a service said without being asked, as on the wire."""

    method: str
    params: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a service; empty when it was never seen.

    Attributes:
        about: ``protocolVersion``, ``serverInfo``, ``capabilities`` and ``instructions``, as on the wire.
        listings: by method the whole listing over all pages, as on the wire; only of what it is able to list.
    """

    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    listings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def changed_since(self, before: Known) -> tuple[Notification, ...]:
        """What clients have to be told who know what was known before."""
        told = (
            Notification(f"notifications/{LISTINGS[method][0]}/list_changed")
            for method in LISTINGS
            if self.listings.get(method) != before.listings.get(method)
        )
        return tuple({notification.method: notification for notification in told}.values())


def known_from_lock(locked: LockedService) -> Known:
    """What the lock tells of a service that has not run yet: its tools."""
    tools: list[dict[str, Any]] = []
    for tool in locked.tools:
        entry: dict[str, Any] = {"name": tool.name, "inputSchema": tool.input_schema}
        if tool.title:
            entry["title"] = tool.title
        if tool.description:
            entry["description"] = tool.description
        if tool.annotations:
            entry["annotations"] = dict(tool.annotations)
        tools.append(entry)
    return Known({}, {"tools/list": {"tools": tools}})
