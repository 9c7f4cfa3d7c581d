"""Builds that die at every step, and readers that must not notice."""
