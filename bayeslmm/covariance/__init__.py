"""Covariance structures: what `AR1()`, `UN()` or `Known()` are, and their mathematics."""
