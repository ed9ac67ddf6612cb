"""Events: from a call's arguments to committed rows or yielded dicts.

Read in the order in which an event travels. Into a table:

weights       how heavy a table's dates are, from its journal; pure
plan          the chunks to fetch, from arguments, journal rows and limits; pure
sync_plan     what a sync requests again; pure
request       a chunk's query parameters
no_event      the warning that no event has the names that were asked for
spool         holds a body, still gzip, until it is decoded
results       how a chunk ended, and what the caller gets
request_days  how many dates a request may have, from the responses so far; pure
download      request, body, spool; retried until the body is whole
messages      what travels in the queue between the tasks that decode and the writer
writer        the one task that reads the queue; it writes each chunk in one transaction
fetch         `fetch_events`: one task per chunk, through all of the above
sync          `sync_events`: what a table lacks, fetched in the same way
preview       `plan_events`: what a fetch or a sync would do

To the caller, with nothing stored (through plan, request, spool and download, too):

stream_body   a body: first proven whole, then yielded in small blocks
stream        `stream_events`: chunks in the order of their dates

In between, `decode` turns bodies into events, and `duck` writes them.
"""
