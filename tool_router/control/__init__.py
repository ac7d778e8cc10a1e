"""How commands reach routers that run: one local socket for each."""
