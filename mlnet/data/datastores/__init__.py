"""Datastores: observations that are read in order or by number, and what is done to them on the way."""
