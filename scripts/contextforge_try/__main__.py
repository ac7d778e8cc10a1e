"""The command line of scripts/contextforge."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.contextforge_try.lab import Lab
from scripts.contextforge_try.steps import LabError, say


def main() -> int:
    """Run one command; the exit status is 0 when it did what it says."""
    parser = argparse.ArgumentParser(
        prog="scripts/contextforge",
        description="A real ContextForge on this machine, with three MCP servers, to try tool-router with.",
    )
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("dir", type=Path, help="everything is installed and kept here")
    parser.add_argument("--port", type=int, default=4444, help="of the gateway (default 4444; 0: a free one)")
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter for the gateway (default: this one)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a further setting of the gateway, e.g. TOOL_TIMEOUT=10",
    )
    options = parser.parse_args()
    lab = Lab(options.dir.expanduser().resolve(), python=options.python)
    try:
        match options.command:
            case "up":
                settings = dict(item.partition("=")[::2] for item in options.set)
                print(lab.up(options.port, settings))
                say(f"`scripts/contextforge down {options.dir}` stops it.")
            case "down":
                lab.down()
            case _:
                print(lab.status())
    except LabError as error:
        say(f"Failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted; stopping what was started.")
        lab.down()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
