"""Rate limits: counting requests, and the 429 responses."""
