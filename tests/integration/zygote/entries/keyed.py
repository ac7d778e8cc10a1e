"""Looks at its environment when it is imported, and can't do without a key."""

from __future__ import annotations

import os
import sys

KEY = os.environ["DEMO_KEY"]


def main() -> None:
    """Tell the key."""
    sys.stdout.write(KEY)
