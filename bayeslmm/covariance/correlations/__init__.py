"""Correlation structures over effects or occasions."""
