"""Networks and other values in files."""
