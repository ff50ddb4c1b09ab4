"""What users hold: `Model` and the fits."""
