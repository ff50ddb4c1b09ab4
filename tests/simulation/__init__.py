"""Simulation studies of the library, and the pages of docs/ that they make."""
