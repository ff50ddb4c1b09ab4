"""The textbook model as the text of a PyMC program."""
