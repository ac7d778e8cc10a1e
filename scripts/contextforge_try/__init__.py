"""A real ContextForge with a few real MCP servers, for trying tool-router with it."""
