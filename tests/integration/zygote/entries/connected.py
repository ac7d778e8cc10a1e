"""Opens a connection when it is imported."""

from __future__ import annotations

import socket

ENDS = socket.socketpair()


def main() -> None:
    """Nothing."""
