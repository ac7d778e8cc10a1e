"""service_manager: MCP services that start when they are needed and stop when they are not."""
