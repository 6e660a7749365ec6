"""Known networks by name, made of the public layers."""
