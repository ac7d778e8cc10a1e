"""How this very installation of the router is started from anywhere."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

SCRIPT = "tool-router"
MODULE = "tool_router"


def own_command(scripts: Path | None = None, python: Path | None = None) -> tuple[str, ...]:
    """The argv that starts this installation: its console script, or its interpreter with ``-m``.

    Clients start servers without a shell and with a PATH of their own, hence the absolute path. The
    interpreter's link is not followed: it is what makes a virtual environment one.
    """
    folder = scripts or Path(sysconfig.get_path("scripts"))
    for name in (SCRIPT, f"{SCRIPT}.exe"):
        script = folder / name
        if script.is_file() and os.access(script, os.X_OK):
            return (str(script.absolute()),)
    return (str((python or Path(sys.executable)).absolute()), "-m", MODULE)


def is_own(entry: Any) -> bool:
    """Whether an entry of a client starts a tool-router, this installation's or another's."""
    if not isinstance(entry, dict):
        return False
    fields = cast("Mapping[str, Any]", entry)
    command, args = fields.get("command"), fields.get("args")
    if not isinstance(command, str):
        return False
    name = command.replace("\\", "/").rsplit("/", 1)[-1]
    if name.removesuffix(".exe") == SCRIPT:
        return True
    words = cast("list[object]", args) if isinstance(args, list) else []
    return words[:2] == ["-m", MODULE]
