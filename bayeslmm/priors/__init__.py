"""Families of priors, their defaults, and which parameter has which."""
