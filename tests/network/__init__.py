"""Tests of layer arrays and of networks before they compute."""
