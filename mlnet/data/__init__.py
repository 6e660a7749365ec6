"""Where mini-batches come from: arrays, their layout, labels, and built-in sample data."""
