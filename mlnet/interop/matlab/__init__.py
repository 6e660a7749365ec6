"""Networks from and to MATLAB."""
