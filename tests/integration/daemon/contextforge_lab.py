"""The real ContextForge, by the project's own script, with as little behind it as it starts with."""

from __future__ import annotations

import sys

from scripts.contextforge_try.lab import GATEWAY, GATEWAY_BEFORE_3_12, TIME_SERVER, Lab, Server


class SmallLab(Lab):
    """The gateway and one server, which needs no npm."""

    def _install(self) -> tuple[Server, ...]:
        gateway = GATEWAY if self._python_version() >= (3, 12) else GATEWAY_BEFORE_3_12
        self._venv("gateway", self._python, gateway)
        self._venv("time", sys.executable, TIME_SERVER)
        return (Server("time", (str(self.home / "venv-time" / "bin" / "mcp-server-time"),)),)
