"""Functions of dlarrays with MATLAB's names, for training loops of one's own: the operations of the layers."""
