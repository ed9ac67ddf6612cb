"""How to talk to Mixpanel: who asks, what to ask, how fast, when again, and over which connection."""
