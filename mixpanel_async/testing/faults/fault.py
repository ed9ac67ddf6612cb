"""Faults: what can be made to go wrong with an export. Each is a value; ``FaultPlan`` says when."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from mixpanel_async.testing.faults import body_edits as edits
from mixpanel_async.testing.faults.body_edits import Edit
from mixpanel_async.testing.http.response import HTML, JSON, TEXT, TIMEOUT_ERROR, Answer, Headers, json_error

Ending = Literal["clean", "reset", "hang-up"]
"""How an answer ends: as it should, by a TCP reset, or by a plain close before its end."""

Framing = Literal["chunked", "close", "content-length"]
"""What tells the client where a body ends: chunks, the end of the connection, or a length announced."""

CutFraming = Literal["chunked-clean", "chunked-broken", "close", "content-length"]

_CUTS: dict[CutFraming, tuple[Framing, Ending]] = {
    "chunked-clean": ("chunked", "clean"),
    "chunked-broken": ("chunked", "hang-up"),
    "close": ("close", "clean"),
    "content-length": ("content-length", "hang-up"),
}

_UNAUTHORIZED = 401
_SERVER_ERROR = 500

_GATEWAY_PAGE = b"<html><head><title>Server Error</title></head><body>Server Error</body></html>"
_LOGIN_PAGE = b"<!doctype html><html><head><title>Log in</title></head><body>Mixpanel</body></html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one export; made by the class methods, and compared by value.

    Faults that a plan picks for the same request are all applied. Those that change the gzip stream force
    gzip even for a small body, and do nothing where the client did not accept gzip. A number of lines
    that is beyond the answer's end means its end.
    """

    name: str
    delay: float = 0.0
    answer: Answer | None = None
    reset_first: bool = False
    hangs_up: bool = False
    line_edits: tuple[Edit, ...] = ()
    gzip_edits: tuple[Edit, ...] = ()
    members: int = 1
    ends_session: bool = False
    cut_bytes: int | None = None
    cut_fraction: float | None = None
    framing: Framing = "chunked"
    ending: Ending = "clean"
    stall_after: int | None = None
    stall_seconds: float = 0.0
    bytes_per_second: float | None = None
    write_size: int | None = None

    # instead of the events

    @classmethod
    def status(
        cls,
        code: int,
        body: str | bytes | None = None,
        *,
        headers: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> Fault:
        """Answer ``code``; without ``body``, a web page for 5xx, else JSON as Mixpanel words it."""
        given = tuple((headers or {}).items())
        usual = Answer(code, _GATEWAY_PAGE, HTML) if code >= _SERVER_ERROR else json_error(code, f"Error {code}")
        if body is None:
            answer = replace(usual, content_type=content_type or usual.content_type, headers=given)
        else:
            answer = Answer(code, _as_bytes(body), content_type or TEXT, given)
        return cls(f"status {code}", answer=answer)

    @classmethod
    def rate_limited(cls, retry_after: float | str | None = None) -> Fault:
        """Answer 429, with Retry-After in seconds, as an HTTP date (a string), or not at all (None)."""
        headers: Headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return cls("rate_limited", answer=json_error(429, "Query rate limit exceeded", headers))

    @classmethod
    def auth_expired(cls, code: int = 401) -> Fault:
        """Answer as if the credentials had just expired: 401, or 400, as both have been seen."""
        text = "Invalid credentials" if code == _UNAUTHORIZED else "Unable to authenticate request"
        return cls("auth_expired", answer=json_error(code, text))

    @classmethod
    def timeout_error(cls) -> Fault:
        """Answer 400 with ``Timeout Error.``: a 400 that goes away when asked again."""
        return cls("timeout_error", answer=TIMEOUT_ERROR)

    @classmethod
    def html(cls, body: str | bytes = _LOGIN_PAGE) -> Fault:
        """Answer 200 with a web page, as a login or maintenance page would."""
        return cls("html", answer=Answer(200, _as_bytes(body), HTML))

    @classmethod
    def redirect(cls, location: str, code: int = 302) -> Fault:
        """Answer with a redirect to ``location``."""
        return cls("redirect", answer=Answer(code, headers=(("Location", location),)))

    @classmethod
    def only_terminated(cls, text: str = "export terminated early") -> Fault:
        """Answer 200 with nothing but the text that Mixpanel puts where an export broke off."""
        return cls("only_terminated", answer=Answer(200, text.encode()))

    # pages of profiles

    @classmethod
    def session_expired(cls) -> Fault:
        """Let the session of the page that is asked for have expired: 400, for its other pages too from now on."""
        return cls("session_expired", ends_session=True)

    @classmethod
    def error_in_200(cls, text: str = "internal error") -> Fault:
        """Answer 200 with ``{"status": "error", "error": text}``."""
        return cls("error_in_200", answer=Answer(200, json.dumps({"status": "error", "error": text}).encode(), JSON))

    @classmethod
    def results_missing(cls) -> Fault:
        """Leave ``results`` out of the page."""
        return cls("results_missing", line_edits=(edits.without_results,))

    # the connection

    @classmethod
    def hang_up(cls) -> Fault:
        """Close a connection as soon as it is made, before anything is read: a TLS handshake that is cut off.

        It happens to connections, not to exports: choose with ``times`` or ``chance`` only. Connections that
        stand are kept in use.
        """
        return cls("hang_up", hangs_up=True)

    @classmethod
    def reset(cls, *, after_bytes: int | None = None) -> Fault:
        """Reset the connection (TCP RST): before any header, or once so many bytes of the body were sent.

        aiohttp's client by itself sends a GET once more if its connection breaks before any header.
        """
        if after_bytes is None:
            return cls("reset", reset_first=True)
        return cls("reset", cut_bytes=after_bytes, ending="reset")

    @classmethod
    def cut(
        cls,
        *,
        after_bytes: int | None = None,
        after_fraction: float | None = None,
        framing: CutFraming = "chunked-broken",
    ) -> Fault:
        """Send only the body's first bytes, as they travel (of gzip, if it is used).

        ``framing`` says how the connection tells of it: ``"chunked-clean"`` ends the chunks as if all were
        well, ``"chunked-broken"`` closes without the last chunk, ``"close"`` sends neither chunks nor a
        length and closes, ``"content-length"`` announces the whole length and closes before it.

        Raises ValueError unless exactly one of ``after_bytes`` and ``after_fraction`` (0 to 1) is given.
        """
        if (after_bytes is None) == (after_fraction is None):
            msg = "give either after_bytes or after_fraction"
            raise ValueError(msg)
        shape, ending = _CUTS[framing]
        return cls("cut", cut_bytes=after_bytes, cut_fraction=after_fraction, framing=shape, ending=ending)

    @classmethod
    def cut_at_line(cls, after_lines: int, *, ending: Ending = "reset") -> Fault:
        """Send whole lines only and then break the connection, without a gzip trailer or a last chunk."""
        return cls(
            "cut_at_line",
            line_edits=(partial(edits.first_lines, after=after_lines),),
            gzip_edits=(partial(edits.without_last, count=8),),
            ending=ending,
        )

    @classmethod
    def stall(cls, *, after_bytes: int = 0, seconds: float = 3600.0) -> Fault:
        """Send the headers and so many bytes, then nothing for ``seconds``, then go on."""
        return cls("stall", stall_after=after_bytes, stall_seconds=seconds)

    @classmethod
    def first_byte_delay(cls, seconds: float) -> Fault:
        """Send nothing, not even headers, for ``seconds``."""
        return cls("first_byte_delay", delay=seconds)

    @classmethod
    def slow_drip(cls, bytes_per_second: float, *, write_size: int = 1) -> Fault:
        """Send the body slowly, ``write_size`` bytes at a time."""
        return cls("slow_drip", bytes_per_second=bytes_per_second, write_size=write_size)

    # the gzip stream

    @classmethod
    def no_trailer(cls, count: int = 8) -> Fault:
        """Leave out the last bytes of the gzip stream, by default just its trailer; end cleanly."""
        return cls("no_trailer", gzip_edits=(partial(edits.without_last, count=count),))

    @classmethod
    def bad_crc(cls) -> Fault:
        """Send a wrong checksum in the gzip trailer."""
        return cls("bad_crc", gzip_edits=(edits.with_bad_crc,))

    @classmethod
    def corrupt(cls, *, at: int) -> Fault:
        """Turn over the bits of the gzip stream's byte ``at`` (from 0)."""
        return cls("corrupt", gzip_edits=(partial(edits.corrupted, at=at),))

    @classmethod
    def second_member(cls) -> Fault:
        """Send the body as two gzip members. That is valid gzip: both must be read."""
        return cls("second_member", members=2)

    @classmethod
    def garbage_after(cls, data: bytes = b"garbage") -> Fault:
        """Send bytes that belong to nothing after the gzip stream."""
        return cls("garbage_after", gzip_edits=(partial(edits.followed_by, data=data),))

    @classmethod
    def zero_padding(cls, count: int = 512) -> Fault:
        """Send zero bytes after the gzip stream, as some gzip writers do to fill a block."""
        return cls("zero_padding", gzip_edits=(partial(edits.followed_by, data=bytes(count)),))

    # the lines

    @classmethod
    def terminated_early(
        cls, after_lines: int | None = None, text: str = "terminated early", *, newline: bool = False
    ) -> Fault:
        r"""End after so many lines (None: after all) with Mixpanel's note that the export broke off.

        ``text`` has also been seen as ``export terminated early``; ``newline`` ends it with ``\n``.
        The connection ends cleanly: only the text tells.
        """
        ending = text.encode() + b"\n" * newline
        return cls("terminated_early", line_edits=(partial(edits.ended, after=after_lines, text=ending),))

    @classmethod
    def half_line(cls, after_lines: int) -> Fault:
        """End cleanly in the middle of the line after so many."""
        return cls("half_line", line_edits=(partial(edits.halved, after=after_lines),))

    @classmethod
    def missing_rows(cls, after_lines: int) -> Fault:
        """End cleanly after so many lines. No client can notice that from the answer alone."""
        return cls("missing_rows", line_edits=(partial(edits.first_lines, after=after_lines),))

    @classmethod
    def error_line(cls, after_lines: int, text: str = '{"error":"internal error"}') -> Fault:
        """Put a line that is no event between the events, and go on."""
        line = text.encode() + b"\n"
        return cls("error_line", line_edits=(partial(edits.inserted, after=after_lines, text=line),))

    @classmethod
    def split_record(cls, at_line: int = 1) -> Fault:
        """Put a raw newline into the middle of one line, counted from 1."""
        return cls("split_record", line_edits=(partial(edits.split, line=at_line),))

    @classmethod
    def separators(cls, text: str = "\r\n\r\n") -> Fault:
        r"""End each line with ``text`` instead of ``\n``; by default with ``\r\n``, and a blank line after it."""
        return cls("separators", line_edits=(partial(edits.separated, by=text.encode()),))

    @classmethod
    def bad_utf8(cls, at_line: int = 1) -> Fault:
        """Put a byte that is no UTF-8 into the middle of one line, counted from 1."""
        return cls("bad_utf8", line_edits=(partial(edits.split, line=at_line, by=b"\xff"),))

    def also(self, other: Fault) -> Fault:
        """Combine with another fault: edits add up in order; of what can be only once, this one's holds."""
        cuts = self.cut_bytes is not None or self.cut_fraction is not None or self.ending != "clean"
        cut = self if cuts or self.framing != "chunked" else other
        return Fault(
            name=f"{self.name}, {other.name}",
            delay=self.delay + other.delay,
            answer=self.answer or other.answer,
            reset_first=self.reset_first or other.reset_first,
            line_edits=self.line_edits + other.line_edits,
            gzip_edits=self.gzip_edits + other.gzip_edits,
            members=max(self.members, other.members),
            ends_session=self.ends_session or other.ends_session,
            cut_bytes=cut.cut_bytes,
            cut_fraction=cut.cut_fraction,
            framing=cut.framing,
            ending=cut.ending,
            stall_after=other.stall_after if self.stall_after is None else self.stall_after,
            stall_seconds=other.stall_seconds if self.stall_after is None else self.stall_seconds,
            bytes_per_second=self.bytes_per_second or other.bytes_per_second,
            write_size=self.write_size or other.write_size,
        )

    @property
    def needs_gzip(self) -> bool:
        """Whether it shows only in a gzip stream."""
        return bool(self.gzip_edits) or self.members > 1


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


NOTHING = Fault("none")
"""What goes wrong when nothing does."""
