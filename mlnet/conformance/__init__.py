"""Checks that every layer has to pass on every engine, and the function that runs them on one layer."""
