"""Arguments: typed spans out of text, bound to a schema, with the provenance of every value. Pure; no I/O."""
