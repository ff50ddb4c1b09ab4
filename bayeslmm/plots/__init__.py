"""The methods of `fit.plot` and `model.plot`."""
