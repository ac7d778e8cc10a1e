"""One MCP endpoint per service that answers whether or not the service runs."""
