"""Where mini-batches come from: datastores, images, sources of mini-batches, and built-in sample data."""
