"""Tasks on the workers of a Dask cluster: submitted, awaited, and what their ends mean."""

from __future__ import annotations

import concurrent.futures
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from mixpanel_async.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

KEPT = (
    "Dates that are valid stay, and so does the count of requests: call export_events again, and it requests what is "
    "missing."
)
_LOST = f"The tasks of this export are lost: the Dask client or its scheduler was closed or restarted. {KEPT}"


class TaskFailedError(Exception):
    """A task has no result: its worker was killed again and again, or cannot run it. It never reaches a caller."""


class Cluster:
    """The workers of a caller's client."""

    def __init__(self, client: Any, run: str) -> None:  # noqa: ANN401 - distributed is an extra
        """`run` is in the tasks' names, so that no other call has the same."""
        self._client = client
        self._run = run
        self._numbers = count()
        self.open_tasks = 0
        """Tasks that were submitted and have not ended."""

    @property
    def address(self) -> str:
        """The scheduler's."""
        return str(self._client.scheduler.address)

    async def has_workers(self) -> bool:
        """Whether a worker is there; `True` if the scheduler cannot be asked: then the tasks end by themselves."""
        try:
            return bool(await self._client.nthreads())
        except Exception:  # noqa: BLE001 - as the docstring says
            return True

    async def run(self, function: Callable[..., Coroutine[Any, Any, T]], name: str, *arguments: object) -> T:
        """Run a coroutine function on a worker. The dashboard shows the name. A task whose worker is lost runs again,
        as often as Dask's `allowed-failures` says. A cancel gives the task up.

        Raises:
            TaskFailedError: as it says.
            ExportError: the scheduler was lost, or the client is closed.
        """
        key = f"mixpanel-export-{name}-{self._run}-{next(self._numbers)}"
        future = None
        self.open_tasks += 1
        try:
            future = self._client.submit(function, *arguments, key=key, pure=False)
            result: T = await future
        except concurrent.futures.CancelledError:  # the future's; that of this task is asyncio's
            raise ExportError(_LOST) from None
        except Exception as error:  # noqa: BLE001 - whatever ended the task, the others go on
            if self._client.status != "running":
                raise ExportError(_LOST) from None
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:500]}"
            raise TaskFailedError(f"The task failed on its worker ({reason})") from None
        finally:
            self.open_tasks -= 1
            if future is not None:
                future.release()
        return result
