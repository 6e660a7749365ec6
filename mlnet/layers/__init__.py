"""What a network is made of: declarations of layers, one family per file. Nothing here computes."""
