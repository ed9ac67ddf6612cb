"""A Store in a notebook: a real kernel, without ipywidgets."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

import mixpanel_async

from .conftest import ROWS, is_free

CELLS = """
from mixpanel_async import Store
store = Store({path!r})
await store.query("SELECT count(*) AS n, '$browser and $os' AS text FROM events")
---
await store.tables()
---
await store.coverage()
---
async for batch in store.query_batches("FROM events"):
    print(batch.num_rows)
"""


async def test_results_are_tables_in_a_notebook(filled):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS.format(path=str(filled)).split("---\n")]
    root = Path(mixpanel_async.__file__).parents[1]
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(root)}})
    await client.async_execute()  # it raises what a cell raises
    (query,), (tables,), (coverage,), (batches,) = (cell.outputs for cell in notebook.cells)
    for output in (query, tables, coverage):
        assert output.data["text/html"].startswith('<div class="mixpanel-async tex2jax_ignore mathjax_ignore"')
    assert "│ $browser and $os │" in query.data["text/plain"]
    assert "2024-01-01" in tables.data["text/html"]
    assert "2024-01-07: 1 row" in coverage.data["text/html"]
    assert batches.text == f"{ROWS}\n"
    assert is_free(filled)
