"""Mixpanel's rate limits and the 429 responses that report them."""
