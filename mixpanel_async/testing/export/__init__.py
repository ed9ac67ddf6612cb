"""The raw export endpoint: its parameters, and the lines that it returns."""
