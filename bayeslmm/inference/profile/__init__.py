"""The profile of the likelihood."""
