"""The fast engine for processors: oneDNN 3.x through its C interface, a whole network at a time."""
