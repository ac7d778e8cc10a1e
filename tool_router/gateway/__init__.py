"""Gateways: where tools are listed and called. One protocol, three kinds."""
