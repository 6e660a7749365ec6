"""Training: options, solvers, the loop, and the statistics that prediction needs."""
