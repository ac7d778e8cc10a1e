"""Writes to its output when it is imported."""

from __future__ import annotations

import sys

sys.stdout.write("noise")


def main() -> None:
    """Write something else."""
    sys.stdout.write("said")
