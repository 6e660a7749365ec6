"""Networks: layer arrays, the checks and names of a network, and networks that predict."""
