"""Faults: what goes wrong with a response, and which requests it happens to."""
