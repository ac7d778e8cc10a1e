"""tool-router: one MCP tool that finds, fills, guards and calls the right tool of every server you have."""

__version__ = "0.1.0"
__all__ = ["__version__"]
