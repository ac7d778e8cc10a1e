"""Drivers: how a service is run."""
