"""HTTP: the listener, paths, request parameters, the request log, and responses that fit in memory."""
