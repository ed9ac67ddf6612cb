"""From date chunks to committed rows. Read in the order of an event's way.

order and dates (the plan), fill (the table), fetch (a task a chunk), download and spool (the body, still gzip),
decode and lines (blocks of events), messages (what travels in the queue), writer (transactions), hooks (what the
caller hears), results.

Or, of a stream: stream (a task a chunk, in order), download and spool, body and proof (is it whole?), parts and parse
(Python's objects) or batches (Arrow), oddlines and lines.
"""
