"""Independent ways to the same numbers, and cases and fits that tests share."""
