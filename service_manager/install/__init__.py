"""Pinned packages in managed directories: installed once, checked against the lock, run directly."""
