"""Checks of a solution, by subject: each is a function that yields findings."""
