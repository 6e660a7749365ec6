"""Tests of the conformance suite, and the suite on every layer."""
