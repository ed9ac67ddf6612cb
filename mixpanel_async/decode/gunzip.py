"""From the bytes of a body, gzip or plain, to its text, and the proof that the gzip is whole.

Each gzip member must end with its trailer (length and CRC). A body that is not gzip, or one that is cut exactly between
two members, looks whole; only the HTTP framing shows that it is not.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from mixpanel_async.errors import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

try:
    from isal import isal_zlib as gzip_library
except ImportError:  # no wheel for this platform: zlib has the same interface, at half the speed
    import zlib as gzip_library  # type: ignore[no-redef]

GzipError: type[Exception] = gzip_library.error  # type: ignore[assignment] # isal's stub calls it an instance

_STEP_SIZE = 1 << 18
"""The most bytes of text that one step makes, so that a zip bomb needs little memory."""
_GZIP = b"\x1f\x8b"


def gunzip(body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text of a body: gzip of one or more members, or plain. The first two bytes tell which.

    Zero bytes after a member are allowed as padding.

    Raises:
        ConnectionLostError: the gzip ends without its trailer, or is damaged.
    """
    parts = iter(body)
    head = b""
    while len(head) < 2 and (part := next(parts, None)) is not None:
        head += part
    if head.startswith(_GZIP):
        yield from _members(chain((head,), parts))
    else:
        yield from chain((head,), parts)


def gunzip_beginning(body: bytes) -> bytes:
    """Return the text at the beginning of a body, gzip or plain, of which `body` is the first part."""
    try:
        return next(gunzip((body,)), b"")
    except ConnectionLostError:
        return body


def _members(parts: Iterable[bytes]) -> Iterator[bytes]:
    member = None
    for part in parts:
        rest = part
        while rest:
            if member is None:
                if not rest.strip(b"\0"):
                    break
                member = gzip_library.decompressobj(31)
            try:
                text = member.decompress(rest, _STEP_SIZE)
            except GzipError as error:
                raise ConnectionLostError(f"The response's gzip is damaged: {error}") from None
            if text:
                yield text
            rest, member = (member.unused_data, None) if member.eof else (member.unconsumed_tail, member)
    if member is not None:
        raise ConnectionLostError("The response was cut: its gzip ends without a trailer")
