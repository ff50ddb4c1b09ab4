"""Models as `pm.Model`: the textbook form, the collapsed form, and the program as text."""
