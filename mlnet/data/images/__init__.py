"""Image files, and changes of images."""
