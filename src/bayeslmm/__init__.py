"""Linear mixed models, fitted by NUTS or by REML/ML, from one formula."""

__version__ = "0.1.0.dev0"
