"""What an export, and what a compaction, wrote; and how far an export is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mixpanel_async import html
from mixpanel_async.terminal import as_size, count


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """How far an export is."""

    total_files: int
    """It does not change once it is known; 0 until then."""
    files: int = 0
    """Files that are complete."""
    rows: int = 0
    """Rows written so far. DuckDB tells those of a Parquet or CSV file when it has written all of them."""
    bytes: int = 0
    """Size of the files so far, that of an incomplete file included."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote. It prints as one line."""

    table: str
    path: str
    """The file, or the folder of the partitions; `~` and symbolic links are resolved."""
    files: int
    """Files that were written. Partitions of other dates, which stayed, do not count."""
    rows: int
    """Rows in these files."""
    bytes: int
    """Size of these files."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order."""
        return asdict(self)

    def __str__(self) -> str:
        written = f"{count(self.rows, 'row')}, {count(self.files, 'file')}, {as_size(self.bytes)}"
        return f"Table {self.table} to {self.path}: {written}"

    def _repr_html_(self) -> str:
        return html.pairs(str(self), [])


@dataclass(frozen=True, slots=True)
class CompactResult:
    """The size of a database before and after `compact`. It prints as one line."""

    bytes_before: int
    bytes_after: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order."""
        return asdict(self)

    def __str__(self) -> str:
        return f"Compacted from {as_size(self.bytes_before)} to {as_size(self.bytes_after)}"

    def _repr_html_(self) -> str:
        return html.pairs(str(self), [])
