"""Checks of arguments, arrays, scales and LAPACK: what every other package may use."""
