"""Zygotes: Python processes that have imported what services need, and fork one in milliseconds."""
