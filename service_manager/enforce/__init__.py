"""Holding services to their limits: control groups, resource limits of processes, and watching."""
