"""The catalog: what tools exist, read from a gateway, kept in a store, refreshed in the background."""
