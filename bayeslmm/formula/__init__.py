"""From the text of a formula to its terms and their columns."""
