"""Maximisation of the likelihood, by REML or ML."""
