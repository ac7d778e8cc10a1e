"""Measures ranking and arguments on data sets of third parties."""
