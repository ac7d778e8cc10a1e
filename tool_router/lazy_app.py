"""Starts the router behind a server that must answer `initialize` at once.

Settings, catalog, numpy and the rest are loaded after the client's first answer, in the background; the text
of `execute_task`'s description comes from the store meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
from mcp.server.mcpserver import Context

if TYPE_CHECKING:
    from tool_router.app import AppContext
    from tool_router.control.commands import Commands

DEFAULT_DESCRIPTION = (
    "Does a task with the right tool of any connected server: finds it, fills its arguments and calls it. "
    "Say in `task` what to do, with every value it needs. If it is not sure, it calls nothing and shows "
    "candidates: call it again with `tool` and `arguments`."
)


class LazyApp:
    """The router's app, started on demand and kept until its `run` is cancelled.

    A start that fails is tried again by the next request, so a mended configuration needs no restart.

    Args:
        environ: the environment everything is configured from.
        on_change: awaited when the description of execute_task has changed.
    """

    def __init__(
        self, environ: Mapping[str, str], on_change: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._environ = environ
        self._on_change = on_change
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._app: AppContext | None = None
        self._error: Exception | None = None
        self._description: str | None = None

    @property
    def description(self) -> str:
        """The description of execute_task, as far as the catalog is known."""
        if self._description is None:
            self._description = self._stored_description()
        return self._description or DEFAULT_DESCRIPTION

    def start(self) -> None:
        """Begin to start the app, without waiting for it."""
        self._wanted.set()

    async def get(self) -> AppContext:
        """The running app; waits for it to start.

        Raises:
            ToolError: it can't start, with what is wrong and what to do.
        """
        from mcp.server.mcpserver.exceptions import ToolError

        if self._app is None:
            if self._settled.is_set():
                self._settled = anyio.Event()
            self._wanted.set()
            await self._settled.wait()
        if self._app is None:
            raise ToolError(str(self._error)) from self._error
        return self._app

    async def run(self) -> None:
        """Serve starts until cancelled."""
        await self._wanted.wait()
        import structlog

        from service_manager.errors import ServiceManagerError
        from tool_router.errors import ToolRouterError

        async with anyio.create_task_group() as tasks:
            while True:
                await self._wanted.wait()
                self._wanted = anyio.Event()
                try:
                    await self._serve(tasks)
                except (ToolRouterError, ServiceManagerError) as error:
                    self._error = error
                except Exception as error:  # noqa: BLE001  # outermost boundary: the session must live on
                    structlog.get_logger().exception("start_failed")
                    self._error = ToolRouterError(
                        f"The router could not start: {type(error).__name__}.", "Its log on stderr says why."
                    )
                self._app = None
                self._settled.set()

    async def _serve(self, tasks: anyio.abc.TaskGroup) -> None:
        from tool_router.app import open_app
        from tool_router.config_file import load_settings, settings_file
        from tool_router.control.place import socket_of
        from tool_router.control.server import serve_commands
        from tool_router.reload import Reloader, reloading
        from tool_router.telemetry.log import configure

        settings = load_settings(environ=self._environ)
        configure(settings.log.level, settings.log.format)

        def description_changed(description: str) -> None:
            if description != self._description:
                self._description = description
                tasks.start_soon(self._on_change)

        async with open_app(settings, self._environ, description_changed) as app:
            self._app = app
            self._settled.set()
            reloader = Reloader(
                settings, lambda: load_settings(environ=self._environ), app.gateway, app.heads
            )
            async with reloading(reloader, settings_file(None, self._environ)):
                await serve_commands(_commands(app), socket_of(self._environ, os.getpid()))
                await anyio.sleep_forever()

    def _stored_description(self) -> str | None:
        """The text the last run left in the store; None when there is none or the settings are broken."""
        from service_manager.errors import ServiceManagerError
        from tool_router.cache.startup import read_description
        from tool_router.config_file import load_settings
        from tool_router.errors import ToolRouterError
        from tool_router.location import gateway_key, store_path

        try:
            settings = load_settings(environ=self._environ)
            return read_description(store_path(settings, self._environ), gateway_key(settings, self._environ))
        except (ToolRouterError, ServiceManagerError):
            return None


def _commands(app: AppContext) -> Commands:
    from tool_router.control.commands import Commands

    facts = {"pid": os.getpid(), "gateway": app.gateway.key}
    if app.models is None:
        return Commands(app.gateway, facts)
    return Commands(app.gateway, facts, app.models.targets)


# Here and not in server.py: `mcp run` loads that file by path under a name that is in no module table, where
# pydantic can't make a generic type.
AppRequest = Context[LazyApp, Any]
