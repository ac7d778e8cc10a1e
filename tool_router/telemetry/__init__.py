"""Telemetry: structured logs on stderr, secrets redacted."""
