"""Builds killed at every step must not affect readers."""
