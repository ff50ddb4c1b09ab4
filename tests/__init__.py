"""Tests, which mirror the packages of the library."""
