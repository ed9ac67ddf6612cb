"""The progress bar of a fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from mixpanel_async.types import BatchProgress


SHAPES = (
    "{desc} {bar} {n_fmt}/{total_fmt} chunks, {elapsed}{postfix}",
    "{bar} {n_fmt}/{total_fmt} chunks, {elapsed}{postfix}",
    "{n_fmt}/{total_fmt} chunks, {elapsed}{postfix}",
    "{n_fmt}/{total_fmt} chunks{postfix}",
    "{n_fmt}/{total_fmt}{postfix}",
    "{n_fmt}/{total_fmt}",
)
"""What is shown, for narrower and narrower terminals."""


class _Bar(tqdm):  # type: ignore[misc] # tqdm has no type annotations
    """A bar that leaves parts out where they do not fit: tqdm would cut a number, and show a wrong one."""

    def __str__(self) -> str:
        values = self.format_dict
        columns = values["ncols"]
        for shape in SHAPES:
            values["bar_format"] = shape
            if not columns or len(self.format_meter(**{**values, "ncols": None})) <= columns:
                return str(self.format_meter(**values))
        return ""


class ChunkBar:
    """A bar over the chunks, with the rows committed beside it; pass it as `on_batch_complete`.

    It stands on stderr, no wider than the terminal. Where stderr is no terminal, nothing is written.
    """

    def __init__(self, chunks: int) -> None:
        self._rows = 0
        self._bar = _Bar(
            total=chunks,
            desc="Exporting",
            postfix="0 rows",
            disable=None,
            dynamic_ncols=True,
            mininterval=0,
            miniters=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def __call__(self, done: BatchProgress) -> None:
        """Count one chunk, committed or given up."""
        self._rows += done.rows
        self._bar.set_postfix_str(f"{self._rows:,} rows", refresh=False)
        self._bar.update()
