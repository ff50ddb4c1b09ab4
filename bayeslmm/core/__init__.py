"""The compiled core: C++ behind a plain C interface, and what calls it."""
