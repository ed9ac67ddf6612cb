"""The tables: the one package that imports duckdb. Everything here blocks, so it runs in threads.

Read in this order, from the file to the rows in it:

schema          names and columns
transactions    a transaction around a few statements
versions        the library's own tables, their version and migrations
files           a database file: created whole, and attached
whole_files     files that are written whole, or not at all
row_groups      how many rows a row group has, and whether DuckDB may merge them
translation     errors of DuckDB as errors of ours
sharing         which files this process has open
checkpoints     the log moved into the file, and undone if that was cut short
connection      which file is open, for how long, and who else has it open
reading         a database read, in a transaction that cannot write
writing         a database opened for one writing
arrow_input     Arrow batches as a table that SQL reads
keys            which rows are duplicates
row_buffer      parsed rows in memory
parser          event batches to rows, by DuckDB's JSON parser
workbench       what chunks are loaded with: a cursor and bound statements
dedup           rows held until they can be inserted without duplicates
chunk_loader    a chunk's batches to a sink, through parser and dedup
out_of_range    rows whose own time lies outside the dates they were returned for
copies          rows of one key in several chunks
projects        which project a table is of
journal         which dates a table holds
coverage        which days a table of events holds
tables          which tables there are
query_result    the rows of a query, in memory
query           a caller's SQL, run
macros          sessions, funnels and retention, for any DuckDB client
properties      which properties rows have, and of which types
describe        the properties of a table
schema_changes  properties that came, went or changed their types
column_types    properties as typed columns
views           views with typed columns
table_sink      a chunk's transaction on a table
merge_sink      a chunk's transaction that merges rows into dates that are there
events_table    a table of events
parquet_loading  files of an export, into a table
held_profiles   what a table of profiles selects, and how current it is
profiles_table  a table of profiles
lookup_tables   tables of lookups
exported_rows   what an export reads
exports         exports to Parquet and CSV
parquet_sink    a chunk as Parquet files
json_lines      exports in Mixpanel's own shape
dropping        a table dropped, with all that is known of it
listing         all that a database holds
compaction      a file copied without the space that nothing uses
"""
