"""How to talk to Mixpanel: what exports, profiles and lookups have in common. `transport` and `budget_file` do I/O, the
others do none.

credentials    who the client is
hosts          the hosts of a region's APIs
waiting        long waits, and the log lines about them
budget         counts the requests of a second, a minute and an hour, and keeps the pauses after a 429
budget_file    the same in a file, for all clients and processes of this machine
shared_budget  which file that is, for a client's project
limits         how many requests at once, a second, a minute and an hour
retry          how often and when to try again
transport      the connection: the one module that imports aiohttp
settings       checks limits, retry policy and timeouts that a caller gives
responses      what a response's status, headers and first bytes mean
source         one of Mixpanel's APIs with all of the above; the attempts at one request
query          a request to the query API, and what its JSON means
send_query     sends such a request, until its response is whole
"""
