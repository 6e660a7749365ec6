"""Threads: how work is cut into blocks and shared, and BLAS kept out of their way."""
