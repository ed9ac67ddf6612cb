"""The data of the fake: events, profiles and the catalog, given one by one or generated."""
