"""The version of mlnet."""

__version__ = "0.1.0"
