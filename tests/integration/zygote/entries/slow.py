"""Waits when it is imported until somebody opens a pipe for writing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

Path(os.environ["GATE"]).read_text()


def main() -> None:
    """Stay until the input ends."""
    sys.stdin.read()
