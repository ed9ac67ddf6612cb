"""The HTTP layer: the listener, paths, request parameters, the request log, and short responses."""
