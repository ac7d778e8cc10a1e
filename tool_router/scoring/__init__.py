"""Scoring: how well each tool of the catalog fits a task. Pure; no I/O."""
