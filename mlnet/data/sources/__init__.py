"""Mini-batches of arrays, sequences, tables, datastores and streams in the layout of the engines, and targets."""
