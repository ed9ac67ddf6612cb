"""The way of an event, from a call's arguments to committed rows or yielded dicts.

Read in the order in which it travels. Into a table:

plan         arguments, journal rows and limits to chunks of dates; pure
request      a chunk's query parameters
spool        where a body waits, still gzip
download     request, body, spool; retried until the body is whole
results      how a chunk ended, and what the caller gets
messages     what travels in the queue between the tasks that decode and the writer
writer       the one task that reads the queue: a transaction a chunk
fetch        `fetch_events`: a task a chunk, through all of the above

To the caller, nothing stored (plan, request, spool and download are shared):

stream_body  a body proven whole, then yielded in small blocks
stream       `stream_events`: chunks in the order of their dates

`decode` turns bodies into events in between, `duck` writes them.
"""
