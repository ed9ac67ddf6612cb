"""Data: events, profiles and the catalog, either given one by one or generated."""
