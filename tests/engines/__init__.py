"""Tests of the engines: what every operation has to fulfil, and what is special to some."""
