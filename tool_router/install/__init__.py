"""Writes the router's entry into the configuration of MCP clients, and takes it out again."""
