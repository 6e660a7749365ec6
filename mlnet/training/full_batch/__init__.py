"""Training with all observations in each step: the solvers 'lbfgs' and 'lm'."""
