"""A folder of Parquet files for many projects, on a disk or in an object store, which many processes write to.

The rows of a project's date are in `project_id=1/date=2026-01-31/part-….parquet`. Which file of a date is valid, its
manifest says. All that is ours lies in `_mixpanel`, whose underscore makes readers of the folder skip it.

The one thing on which all of it relies: of several processes that create a file of the same name, one succeeds.

folder         the folder: files that are whole or absent, created by one of many
object_folder  the same in an object store, by obstore
layout         the names of the files
manifest       what is known of a project's date; values only
manifests      which file of a date is valid: manifests, numbered, of which the last one counts
chunk_files    the files of one chunk, and their publication
budget_state   when requests of a project began, and which are open; pure
budget_folder  the record of a project's requests that all processes share
valid_files    the files to read
loading        what is valid, for a table
garbage        files that are valid no more
"""
