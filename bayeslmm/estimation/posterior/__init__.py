"""The posterior of theta: its density, its mode and its sampling."""
