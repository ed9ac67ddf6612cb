"""Lookups: event names, top properties, cohorts, the lexicon and annotations.

request    what is requested, and how its response is read
fetch      the result fetched, and saved as a table
project    the client's project and its days
namespace  `client.lookups`
"""
