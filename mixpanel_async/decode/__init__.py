"""From the bytes of an export's body to events. No I/O, and no database.

Read in the order in which the bytes travel:

gunzip          gzip to text, and the proof that the gzip is whole
lines           text to blocks of whole lines
strict_json     JSON text, read strictly and exactly
event           what an event is, and why a line is not one: the one definition
error_text      the text of an error that Mixpanel sent
ending          the lines by which Mixpanel breaks a response off
cut_event       lines that are one event, which raw line breaks cut apart
slow_parser     blocks read line by line, by that definition; the proof that the last line is whole
offsets         where the texts of ordinary lines stand, found for a whole block at once
layout          the Arrow columns in which events and profiles travel to a table
event_batches   for tables: blocks to Arrow
repeated_ids    for tables: insert ids that occur more than once in a long chunk
proven_blocks   for streams: a body proven whole, in small blocks
dicts           for streams: blocks to Python dicts
record_batches  for streams: blocks to pyarrow record batches
"""
