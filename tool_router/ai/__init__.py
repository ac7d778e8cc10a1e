"""Relevance providers: what a model says about task and tool, behind one protocol."""
