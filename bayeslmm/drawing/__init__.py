"""Pictures made from plain numbers, with matplotlib."""
