"""How a response travels: gzip, faults, speed, and the end of the connection."""
