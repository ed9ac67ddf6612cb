"""The raw export endpoint: its parameters, and the lines of its response."""
