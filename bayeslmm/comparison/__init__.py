"""Fits and structures side by side."""
