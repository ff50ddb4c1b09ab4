"""Data frames of any kind as columns, grouping levels and weights; the example data."""
