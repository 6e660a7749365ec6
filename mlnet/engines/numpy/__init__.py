"""The NumPy engine: every operation as a pair of plain functions, side by side. It defines what an operation means."""
