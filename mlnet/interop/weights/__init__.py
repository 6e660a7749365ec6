"""Parameters of networks from and to arrays as other libraries name them."""
