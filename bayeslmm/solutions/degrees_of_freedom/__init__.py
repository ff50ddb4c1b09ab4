"""Degrees of freedom of t and F tests."""
