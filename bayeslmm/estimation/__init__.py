"""The engines of both ways of fitting."""
