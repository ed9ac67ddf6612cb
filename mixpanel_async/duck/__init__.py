"""The tables: the one package that imports duckdb. All of it blocks, so all of it is called from threads."""
