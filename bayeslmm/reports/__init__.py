"""Models and fits as pages for reading."""
