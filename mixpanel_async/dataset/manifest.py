"""What is known of a project's date, as its manifest has it: values only."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import msgspec

from mixpanel_async.errors import StoreError

VERSION = 1


@dataclass(frozen=True, slots=True)
class ChunkFacts:
    """How a chunk was fetched: the same in the manifest of each of its dates."""

    from_date: str
    to_date: str
    run: str
    """Which call of `export_events` fetched it."""
    token: str
    """Which attempt did: it is in the names of its files."""
    fetched_at: dt.datetime
    """When it was requested, aware, in UTC. Rows that Mixpanel processed later may be missing."""
    duplicates: int
    """Rows of the whole chunk that were left out, because another has the same key."""
    rejected: int
    """Lines of the whole chunk that are not events."""
    rejected_file: str | None
    """Where they are: the file's name from the destination on."""
    bytes: int
    """Of the bodies of the whole chunk, as they came over the wire."""
    retries: int
    is_atomic: bool
    """Whether rows have times outside its dates, so that it can only be fetched again as a whole."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a project's date has."""

    date: str
    rows: int
    file: str | None
    """The only valid file of this date: its name from the destination on. `None` if there are no rows."""
    is_final: bool
    """Whether the date had ended everywhere on Earth when it was fetched."""
    chunk: ChunkFacts
    version: int = VERSION

    def to_json(self) -> bytes:
        """Return it as a file has it."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Manifest:
        """Read what `to_json` wrote; `name` is the file's.

        Raises:
            StoreError: another version wrote it, or it is damaged.
        """
        try:
            read = msgspec.json.decode(data, type=Manifest)
        except msgspec.MsgspecError as error:
            raise StoreError(f"{name} is not a manifest of this version: {error}.") from None
        if read.version != VERSION:
            raise StoreError(f"{name} was written by a newer version of this library: upgrade.")
        return read
