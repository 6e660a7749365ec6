"""Pictures: the progress of training, confusion matrices, `plot`. matplotlib is needed only when one is drawn."""
