"""Balance and breaker: which target gets a call, and whether it is admitted at all."""
