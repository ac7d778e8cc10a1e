"""Looks at its environment when it is imported."""

from __future__ import annotations

import os
import sys

KEY = os.environ.get("DEMO_KEY", "no key")


def main() -> None:
    """Tell the key."""
    sys.stdout.write(KEY)
