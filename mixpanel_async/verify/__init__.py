"""A table's counts of events compared with Mixpanel's own.

request  what is requested, and how its response is read
compare  the table's counts, Mixpanel's counts, and both beside each other
"""
