"""`tool-router`: without a command it serves stdio; the rest is in `tool_router.cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Serving does not load the command line's libraries: it must start fast."""
    if sys.argv[1:] in ([], ["serve"]):
        from tool_router.server import mcp

        mcp.run()
        return
    from tool_router.cli import app

    app()


if __name__ == "__main__":
    main()
