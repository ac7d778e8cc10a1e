"""The daemon: services over HTTP, for several routers and gateways at once."""
