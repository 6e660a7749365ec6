"""What training loops of users call: steps of solvers, pictures of progress, values of metrics."""
