"""Tests of the display: golden texts of every object, values, tables and HTML."""
