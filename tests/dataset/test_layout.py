"""No project's id leads out of the destination."""

from __future__ import annotations

import pytest

from mixpanel_async import ProjectSecret, Store
from mixpanel_async.dataset.garbage import collect_garbage
from mixpanel_async.dataset.valid_files import valid_files
from mixpanel_async.distributed import fetch_chunk
from tests.distributed.conftest import account, destination, fake, files_in, job_of

__all__ = ["account", "destination", "fake", "job_of"]

BAD = ["12345", "1/../../../outside", 0, -1, 1.0, True, None]


@pytest.mark.parametrize("project_id", BAD)
async def test_an_id_that_is_no_number_above_zero_is_refused_everywhere(job_of, destination, tmp_path, project_id):
    await fetch_chunk(job_of())
    before = files_in(tmp_path)
    store = Store(tmp_path / "loaded.duckdb")

    def secret(_):
        return ProjectSecret("a-secret-of-any-project")

    with pytest.raises(ValueError, match="A project's id is a number"):
        await fetch_chunk(job_of(project_id=project_id), secret)
    with pytest.raises(ValueError, match="A project's id is a number"):
        await store.load_parquet(destination, project_id)
    with pytest.raises(ValueError, match="A project's id is a number"):
        collect_garbage(destination, project_id)
    if project_id is not None:
        with pytest.raises(ValueError, match="A project's id is a number"):
            valid_files(destination, [project_id])
    assert files_in(tmp_path) == before
