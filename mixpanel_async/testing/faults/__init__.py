"""Faults: what goes wrong with a response, and with which request."""
