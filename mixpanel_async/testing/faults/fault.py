"""Fault: one thing that goes wrong with a response. ``FaultPlan`` says which requests it happens to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from mixpanel_async.testing.faults import body_edits
from mixpanel_async.testing.faults.body_edits import Edit
from mixpanel_async.testing.http.response import HTML, JSON, TEXT, TIMEOUT_ERROR, Headers, Response, json_error

Ending = Literal["clean", "reset", "hang-up"]
"""How a response ends: cleanly, by a TCP reset, or by a close before its end."""

Framing = Literal["chunked", "close", "content-length"]
"""How the client knows where a body ends: chunked encoding, the end of the connection, or Content-Length."""

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
    """One thing that goes wrong with a response. The class methods create faults; faults compare by value.

    If several faults happen to the same request, all are applied. A fault that changes the gzip stream forces gzip even
    for a small body, and does nothing if the client did not accept gzip. A number of lines beyond the end of the body
    means its end. Times are in seconds.
    """

    name: str
    delay: float = 0.0
    response: Response | None = None
    reset_before_headers: bool = False
    hangs_up: bool = False
    line_edits: tuple[Edit, ...] = ()
    gzip_edits: tuple[Edit, ...] = ()
    gzip_members: int = 1
    ends_session: bool = False
    cut_bytes: int | None = None
    cut_fraction: float | None = None
    framing: Framing = "chunked"
    ending: Ending = "clean"
    stall_after: int | None = None
    stall_seconds: float = 0.0
    bytes_per_second: float | None = None
    write_size: int | None = None

    # a response without events

    @classmethod
    def status(
        cls,
        code: int,
        body: str | bytes | None = None,
        *,
        headers: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> Fault:
        """Respond with ``code``. The default body is a web page for 5xx, otherwise JSON as Mixpanel words it."""
        given = tuple((headers or {}).items())
        default = Response(code, _GATEWAY_PAGE, HTML) if code >= _SERVER_ERROR else json_error(code, f"Error {code}")
        if body is None:
            response = replace(default, content_type=content_type or default.content_type, headers=given)
        else:
            response = Response(code, _as_bytes(body), content_type or TEXT, given)
        return cls(f"status {code}", response=response)

    @classmethod
    def rate_limited(cls, retry_after: float | str | None = None) -> Fault:
        """Respond with 429. ``retry_after`` is in seconds, or an HTTP date as a string; None sends no such header."""
        headers: Headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return cls("rate_limited", response=json_error(429, "Query rate limit exceeded", headers))

    @classmethod
    def auth_expired(cls, code: int = 401) -> Fault:
        """Respond as if the credentials had just expired: with 401 or 400. Mixpanel has sent both."""
        text = "Invalid credentials" if code == _UNAUTHORIZED else "Unable to authenticate request"
        return cls("auth_expired", response=json_error(code, text))

    @classmethod
    def timeout_error(cls) -> Fault:
        """Respond with 400 and ``Timeout Error.``: a transient 400, which a retry avoids."""
        return cls("timeout_error", response=TIMEOUT_ERROR)

    @classmethod
    def html(cls, body: str | bytes = _LOGIN_PAGE) -> Fault:
        """Respond with 200 and a web page, such as a login or maintenance page."""
        return cls("html", response=Response(200, _as_bytes(body), HTML))

    @classmethod
    def redirect(cls, location: str, code: int = 302) -> Fault:
        """Respond with a redirect to ``location``."""
        return cls("redirect", response=Response(code, headers=(("Location", location),)))

    @classmethod
    def only_terminated(cls, text: str = "export terminated early") -> Fault:
        """Respond with 200 and only the text that Mixpanel sends when an export breaks off."""
        return cls("only_terminated", response=Response(200, text.encode()))

    # pages of profiles

    @classmethod
    def session_expired(cls) -> Fault:
        """End the session of the requested page: this page and all later pages of the session get 400."""
        return cls("session_expired", ends_session=True)

    @classmethod
    def error_in_200(cls, text: str = "internal error") -> Fault:
        """Respond with 200 and ``{"status": "error", "error": text}``."""
        return cls(
            "error_in_200", response=Response(200, json.dumps({"status": "error", "error": text}).encode(), JSON)
        )

    @classmethod
    def results_missing(cls) -> Fault:
        """Remove ``results`` from the page."""
        return replace(cls.page_edited(body_edits.drop_results), name="results_missing")

    @classmethod
    def page_edited(cls, edit: Callable[[dict[str, Any]], object]) -> Fault:
        """Send what ``edit`` returns for the page, both as Python values: another ``total``, fewer ``results``."""
        return cls("page_edited", line_edits=(partial(body_edits.edit_page, edit=edit),))

    # the connection

    @classmethod
    def hang_up(cls) -> Fault:
        """Close a new connection before the server reads anything, like a TLS handshake that is cut off.

        This fault happens to connections, not to requests: choose them with ``times`` or ``chance`` only. Open
        connections stay open.
        """
        return cls("hang_up", hangs_up=True)

    @classmethod
    def reset(cls, *, after_bytes: int | None = None) -> Fault:
        """Reset the connection (TCP RST): before the headers (None), or after ``after_bytes`` bytes of the body.

        aiohttp's client retries a GET once by itself if the connection breaks before the headers.
        """
        if after_bytes is None:
            return cls("reset", reset_before_headers=True)
        return cls("reset", cut_bytes=after_bytes, ending="reset")

    @classmethod
    def cut(
        cls,
        *,
        after_bytes: int | None = None,
        after_fraction: float | None = None,
        framing: CutFraming = "chunked-broken",
    ) -> Fault:
        """Send only the first bytes of the body (of the gzip stream, if the body is compressed).

        Args:
            after_bytes: how many bytes are sent.
            after_fraction: the fraction of the body that is sent, from 0 to 1.
            framing: how the body ends. ``"chunked-clean"`` sends the last chunk as if the body were whole,
                ``"chunked-broken"`` closes without the last chunk, ``"close"`` sends neither chunks nor a length and
                closes, ``"content-length"`` announces the whole length and closes before it is reached.

        Raises ValueError unless exactly one of ``after_bytes`` and ``after_fraction`` is given.

        """
        if (after_bytes is None) == (after_fraction is None):
            msg = "give either after_bytes or after_fraction"
            raise ValueError(msg)
        shape, ending = _CUTS[framing]
        return cls("cut", cut_bytes=after_bytes, cut_fraction=after_fraction, framing=shape, ending=ending)

    @classmethod
    def cut_at_line(cls, after_lines: int, *, ending: Ending = "reset") -> Fault:
        """Send ``after_lines`` whole lines, then break the connection, without a gzip trailer or a last chunk."""
        return cls(
            "cut_at_line",
            line_edits=(partial(body_edits.first_lines, after=after_lines),),
            gzip_edits=(partial(body_edits.drop_last_bytes, count=8),),
            ending=ending,
        )

    @classmethod
    def stall(cls, *, after_bytes: int = 0, seconds: float = 3600.0) -> Fault:
        """Send the headers and ``after_bytes`` bytes, then nothing for ``seconds``, then the rest."""
        return cls("stall", stall_after=after_bytes, stall_seconds=seconds)

    @classmethod
    def first_byte_delay(cls, seconds: float) -> Fault:
        """Send nothing for ``seconds``, not even headers; then the whole response."""
        return cls("first_byte_delay", delay=seconds)

    @classmethod
    def slow_drip(cls, bytes_per_second: float, *, write_size: int = 1) -> Fault:
        """Send the body at this speed, ``write_size`` bytes in each write."""
        return cls("slow_drip", bytes_per_second=bytes_per_second, write_size=write_size)

    # the gzip stream

    @classmethod
    def no_trailer(cls, count: int = 8) -> Fault:
        """Drop the last bytes of the gzip stream, by default its trailer, and end the response cleanly."""
        return cls("no_trailer", gzip_edits=(partial(body_edits.drop_last_bytes, count=count),))

    @classmethod
    def bad_crc(cls) -> Fault:
        """Send a wrong checksum in the gzip trailer."""
        return cls("bad_crc", gzip_edits=(body_edits.break_crc,))

    @classmethod
    def corrupt(cls, *, at: int) -> Fault:
        """Invert one byte of the gzip stream, counted from 0."""
        return cls("corrupt", gzip_edits=(partial(body_edits.invert_byte, at=at),))

    @classmethod
    def second_member(cls) -> Fault:
        """Send the body as two gzip members. This is valid gzip: a client must read both."""
        return cls("second_member", gzip_members=2)

    @classmethod
    def garbage_after(cls, data: bytes = b"garbage") -> Fault:
        """Send bytes after the gzip stream that are not gzip."""
        return cls("garbage_after", gzip_edits=(partial(body_edits.append, data=data),))

    @classmethod
    def zero_padding(cls, count: int = 512) -> Fault:
        """Send zero bytes after the gzip stream. Some gzip writers pad their last block with them."""
        return cls("zero_padding", gzip_edits=(partial(body_edits.append, data=bytes(count)),))

    # the lines

    @classmethod
    def terminated_early(
        cls, after_lines: int | None = None, text: str = "terminated early", *, newline: bool = False
    ) -> Fault:
        r"""End after ``after_lines`` lines (None: all lines) with the text that Mixpanel sends if an export breaks off.

        Mixpanel has also sent ``export terminated early``. ``newline`` adds ``\n`` after the text. The response ends
        cleanly, so the text is the only sign.
        """
        ending = text.encode() + b"\n" * newline
        return cls("terminated_early", line_edits=(partial(body_edits.end_with, after=after_lines, text=ending),))

    @classmethod
    def half_line(cls, after_lines: int) -> Fault:
        """End cleanly in the middle of the line after the first ``after_lines`` lines."""
        return cls("half_line", line_edits=(partial(body_edits.cut_in_line, after=after_lines),))

    @classmethod
    def missing_rows(cls, after_lines: int) -> Fault:
        """End cleanly after ``after_lines`` lines. A client cannot detect this from the response."""
        return cls("missing_rows", line_edits=(partial(body_edits.first_lines, after=after_lines),))

    @classmethod
    def error_line(cls, after_lines: int, text: str = '{"error":"internal error"}') -> Fault:
        """Insert a line that is not an event after ``after_lines`` lines."""
        line = text.encode() + b"\n"
        return cls("error_line", line_edits=(partial(body_edits.insert_after, after=after_lines, text=line),))

    @classmethod
    def split_record(cls, at_line: int = 1) -> Fault:
        """Insert a raw newline in the middle of one line, counted from 1."""
        return cls("split_record", line_edits=(partial(body_edits.insert_in_line, line=at_line),))

    @classmethod
    def separators(cls, text: str = "\r\n\r\n") -> Fault:
        r"""End each line with ``text`` instead of ``\n``. The default is ``\r\n`` and a blank line."""
        return cls("separators", line_edits=(partial(body_edits.replace_newlines, text=text.encode()),))

    @classmethod
    def bad_utf8(cls, at_line: int = 1) -> Fault:
        """Insert a byte that is not UTF-8 in the middle of one line, counted from 1."""
        return cls("bad_utf8", line_edits=(partial(body_edits.insert_in_line, line=at_line, text=b"\xff"),))

    def also(self, other: Fault) -> Fault:
        """Combine with another fault. The edits of both are applied in order; in other conflicts this fault wins."""
        is_cut = self.cut_bytes is not None or self.cut_fraction is not None or self.ending != "clean"
        cut = self if is_cut or self.framing != "chunked" else other
        return Fault(
            name=f"{self.name}, {other.name}",
            delay=self.delay + other.delay,
            response=self.response or other.response,
            reset_before_headers=self.reset_before_headers or other.reset_before_headers,
            line_edits=self.line_edits + other.line_edits,
            gzip_edits=self.gzip_edits + other.gzip_edits,
            gzip_members=max(self.gzip_members, other.gzip_members),
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
        """Whether the fault changes the gzip stream."""
        return bool(self.gzip_edits) or self.gzip_members > 1


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


NOTHING = Fault("none")
"""No fault."""
