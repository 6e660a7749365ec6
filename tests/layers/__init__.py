"""Tests of the layers' declarations."""
