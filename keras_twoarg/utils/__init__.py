"""Helpers for every part of the package that know nothing of phi."""
