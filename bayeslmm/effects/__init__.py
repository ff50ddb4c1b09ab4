"""Tables, predictions and residuals of a solution."""
