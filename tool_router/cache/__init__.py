"""Persistent state in SQLite; a store that fails is a miss, never an error on the request path."""
