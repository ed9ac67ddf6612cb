"""How a body is sent: gzip, faults, speed, and the end of the connection."""
