"""services.yml, resource-limits.yml and the lock: files read strictly into values."""
