"""Spans, metrics and logs of whole calls, as an operator gets them."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from mixpanel_async import DecodeError, ExportError, StoreError, clock, telemetry
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles
from tests.matrix.conftest import query
from tests.system.conftest import LAST

EXPORT, ENGAGE = "GET /api/2.0/export", "POST /api/query/engage"


class Recorded:
    """What the library records, kept in memory apart from the process's own providers."""

    def __init__(self):
        self.spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        tracers, meters = TracerProvider(), MeterProvider([self._metrics])
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer = tracers.get_tracer("the caller's")
        self.recorder = telemetry.Recorder(self.tracer, meters.get_meter("the library's"))

    def tree(self):
        """The spans that ended, in the order in which they began: name, status and children, which are the same."""
        ended = sorted(self.spans.get_finished_spans(), key=lambda span: span.start_time)
        known = {span.context.span_id for span in ended}
        assert all(span.parent is None or span.parent.span_id in known for span in ended), "a span has not ended"

        def below(parent):
            children = [span for span in ended if (span.parent and span.parent.span_id) == parent]
            return [(span.name, span.status.status_code.name, below(span.context.span_id)) for span in children]

        return below(None)

    def named(self, name):
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def metrics(self):
        """Each metric's unit, and its values by their attributes: a sum, or how many values a histogram has."""
        data = self._metrics.get_metrics_data()
        found = [
            metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
        ]
        return {
            metric.name: (
                metric.unit,
                [
                    (dict(point.attributes), getattr(point, "value", getattr(point, "count", None)))
                    for point in metric.data.data_points
                ],
            )
            for metric in found
        }

    def text(self):
        """All that would leave the process."""
        return (
            "".join(span.to_json() for span in self.spans.get_finished_spans())
            + self._metrics.get_metrics_data().to_json()
        )


@pytest.fixture
def recorded(monkeypatch):
    recorded = Recorded()
    monkeypatch.setattr(telemetry, "recorder", lambda: recorded.recorder)
    return recorded


def days(last, **more):
    return {"from_date": "2026-01-01", "to_date": f"2026-01-{last:02}", "chunk_days": 1, "parallel": True, **more}


async def test_a_fetch_with_a_retry_and_a_failed_chunk(fake, client_of, recorded, caplog):
    caplog.set_level(logging.INFO)
    fake.faults.add(Fault.status(503), date="2026-01-01", times=1)
    fake.faults.add(Fault.status(500), date="2026-01-02")
    with recorded.tracer.start_as_current_span("the caller's"):
        result = await client_of(fake).fetch_events(**days(3, max_workers=1))

    bad, good = (EXPORT, "ERROR", []), (EXPORT, "UNSET", [])
    commit = ("mixpanel.commit", "UNSET", [])
    chunks = [
        ("mixpanel.chunk", "UNSET", [bad, good, commit]),
        ("mixpanel.chunk", "ERROR", [bad, bad, bad]),
        ("mixpanel.chunk", "UNSET", [good, commit]),
    ]
    [(root, _, [(call, status, children)])] = recorded.tree()
    assert (root, call, status) == ("the caller's", "mixpanel.fetch_events", "UNSET")
    assert sorted(children) == sorted(chunks)

    [call] = recorded.named("mixpanel.fetch_events")
    assert call.attributes == {
        "mixpanel.table": "events", "mixpanel.from_date": "2026-01-01", "mixpanel.to_date": "2026-01-03",
        "mixpanel.chunks": 3,
    }  # fmt: skip
    commits = recorded.named("mixpanel.commit")
    assert sum(span.attributes["mixpanel.rows"] for span in commits) == result.rows
    assert sum(span.attributes["mixpanel.duplicates"] for span in commits) > 0
    [failed] = [span for span in recorded.named("mixpanel.chunk") if span.status.status_code is StatusCode.ERROR]
    assert failed.attributes["mixpanel.from_date"] == "2026-01-02"
    assert failed.attributes["error.type"] == "500"
    assert [event.attributes["exception.type"] for event in failed.events] == ["ServerError"]
    assert failed.status.description == f"2026-01-02: {result.failures[0].error}"
    [resent] = [span for span in recorded.named(EXPORT) if span.attributes.get("http.request.resend_count") == 2]
    assert resent.kind is SpanKind.CLIENT
    assert resent.attributes == {
        "http.request.method": "GET", "http.request.resend_count": 2, "http.response.status_code": 500,
        "server.address": "127.0.0.1", "server.port": int(fake.url.rpartition(":")[2]), "url.path": "/api/2.0/export",
        "error.type": "500",
    }  # fmt: skip

    told = [
        (record.name.removeprefix("mixpanel_async."), record.getMessage())
        for record in caplog.records
        if record.levelname == "INFO"
    ]
    assert told[0] == ("export.fetch", "Table 'events', 2026-01-01 to 2026-01-03: 3 chunks are requested.")
    assert sum(" rows are committed, " in message for name, message in told if name == "export.writer") == 2
    assert told[-2] == ("export.fetch", f"Table 'events': {result.rows} rows in 2 of 3 chunks are committed.")
    assert told[-1][0] == "telemetry"
    assert told[-1][1].startswith("fetch_events ended after ")


async def test_the_metrics_of_a_fetch(fake, client_of, path, recorded):
    fake.faults.add(Fault.status(503), date="2026-01-01", times=1)
    fake.faults.add(Fault.cut(after_fraction=0.5), date="2026-01-02", times=1)
    async with client_of(fake) as client:
        result = await client.fetch_events(**days(2))

    metrics = recorded.metrics()
    assert metrics["mixpanel.rows"] == ("{row}", [({"mixpanel.type": "events"}, result.rows)])
    assert {kind["error.type"]: count for kind, count in metrics["mixpanel.retries"][1]} == {
        "503": 1,
        "ConnectionLostError": 1,
    }
    assert metrics["mixpanel.chunk.duration"] == ("s", [({}, 2)])
    assert metrics["mixpanel.limit.wait_time"] == ("s", [({"mixpanel.limit": "exports"}, 4)])
    unit, [(_, size)] = metrics["mixpanel.io"]
    assert (unit, [(size,)]) == ("By", query(path, "SELECT sum(bytes) FROM _mixpanel_chunks"))
    unit, requests = metrics["http.client.request.duration"]
    assert unit == "s"
    ended = {(each["http.response.status_code"], each.get("error.type")): count for each, count in requests}
    assert ended == {(200, None): 2, (503, "503"): 1, (200, "ConnectionLostError"): 1}


async def test_nothing_of_a_chunk_that_cannot_be_written_is_counted(fake, client_of, recorded, monkeypatch):
    def fails(*_):
        raise StoreError("no room")

    monkeypatch.setattr("mixpanel_async.duck.table_sink.TableSink.commit", fails)
    with pytest.raises(StoreError):
        await client_of(fake).fetch_events(**days(1))
    assert not {"mixpanel.rows", "mixpanel.io"} & recorded.metrics().keys()
    commit = ("mixpanel.commit", "ERROR", [])
    chunk = ("mixpanel.chunk", "ERROR", [(EXPORT, "UNSET", []), commit])
    assert recorded.tree() == [("mixpanel.fetch_events", "ERROR", [chunk])]


async def test_what_all_chunks_met_is_the_calls_error(fake, client_of, recorded):
    fake.faults.add(Fault.status(500))
    with pytest.raises(ExportError):
        await client_of(fake).fetch_events(**days(1))
    [(name, status, _)] = recorded.tree()
    assert (name, status) == ("mixpanel.fetch_events", "ERROR")


async def test_a_sync_and_its_request_for_the_projects_zone(fake, client_of, recorded, monkeypatch):
    monkeypatch.setattr(clock, "utc_now", lambda: fake.clock.now)
    await client_of(fake).sync_events(from_date="2026-05-25", chunk_days=40)
    [(name, _, children)] = recorded.tree()
    assert name == "mixpanel.sync_events"
    chunk = ("mixpanel.chunk", "UNSET", [(EXPORT, "UNSET", []), ("mixpanel.commit", "UNSET", [])])
    assert children == [("GET /api/app/me", "UNSET", []), chunk]


@pytest.mark.parametrize("call", ["fetch_profiles", "sync_profiles"])
async def test_profiles(client_of, recorded, call):
    async with FakeMixpanel(profiles=GeneratedProfiles(count=2500), limits=None) as fake:
        client = client_of(fake)
        result = await (client.sync_profiles() if call == "sync_profiles" else client.fetch_profiles(parallel=True))
    page = ("mixpanel.page", "UNSET", [(ENGAGE, "UNSET", [])])
    assert recorded.tree() == [(f"mixpanel.{call}", "UNSET", [page, page, page, ("mixpanel.commit", "UNSET", [])])]
    assert {span.attributes["mixpanel.page"] for span in recorded.named("mixpanel.page")} == {0, 1, 2}
    assert recorded.metrics()["mixpanel.rows"] == ("{row}", [({"mixpanel.type": "profiles"}, result.total_rows)])
    assert result.total_rows == 2500


async def test_a_stream_leaves_the_callers_span_current(fake, client_of, recorded):
    client, rows = client_of(fake), 0
    with recorded.tracer.start_as_current_span("the caller's") as mine:
        async for _ in client.stream_events(**days(3)):
            rows += 1
            assert trace.get_current_span() is mine
        with recorded.tracer.start_as_current_span("after"):
            pass
    chunk = ("mixpanel.chunk", "UNSET", [(EXPORT, "UNSET", [])])
    call = ("mixpanel.stream_events", "UNSET", [chunk] * 3)
    assert recorded.tree() == [("the caller's", "UNSET", [call, ("after", "UNSET", [])])]
    assert rows > 100


@pytest.mark.parametrize("kind", ["events", "profiles"])
async def test_a_stream_that_is_left_ends_its_spans(client_of, recorded, kind):
    async with FakeMixpanel(
        GeneratedEvents(per_day=40), profiles=GeneratedProfiles(count=2500), limits=None, today="2026-06-01"
    ) as fake:
        client = client_of(fake)
        stream = client.stream_events(**days(3)) if kind == "events" else client.stream_profiles()
        with recorded.tracer.start_as_current_span("the caller's") as mine:
            async for _ in stream:
                assert trace.get_current_span() is mine
                break
            await stream.aclose()
            assert trace.get_current_span() is mine
    [(_, _, [(name, status, _)])] = recorded.tree()
    assert (name, status) == (f"mixpanel.stream_{kind}", "UNSET")


async def test_a_cancel_ends_all_spans(gated_fake, gated, client_of, recorded):
    call = asyncio.create_task(client_of(gated_fake).fetch_events(from_date=LAST, to_date=LAST))
    await gated_fake.until(lambda: gated_fake.open == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gated.gate.set()
    chunk = ("mixpanel.chunk", "ERROR", [(EXPORT, "ERROR", [])])
    assert recorded.tree() == [("mixpanel.fetch_events", "ERROR", [chunk])]
    assert {span.attributes["error.type"] for span in recorded.spans.get_finished_spans()} == {"CancelledError"}


async def test_calls_at_the_same_time_have_trees_of_their_own(fake, client_of, recorded):
    client = client_of(fake)
    await asyncio.gather(*(client.fetch_events(name, **days(2)) for name in ("a", "b")))
    chunk = ("mixpanel.chunk", "UNSET", [(EXPORT, "UNSET", []), ("mixpanel.commit", "UNSET", [])])
    assert recorded.tree() == [("mixpanel.fetch_events", "UNSET", [chunk] * 2)] * 2


@pytest.mark.parametrize(
    "fault",
    [Fault.auth_expired(401), Fault.status(500), Fault.reset(), Fault.redirect("https://user:pass@elsewhere.example/")],
)
async def test_no_secret_and_no_event_is_told(fake, client_of, recorded, fault, caplog):
    caplog.set_level(logging.DEBUG)
    account = fake.project.service_account
    fake.faults.add(fault)
    with pytest.raises(ExportError):
        await client_of(fake).fetch_events(**days(1), events=["Whose"], where='properties["mail"] == "x"')
    fake.faults.clear()
    await client_of(fake).lookups.cohorts()
    told = recorded.text() + caplog.text
    assert "mixpanel.lookups.cohorts" in told
    for secret in (account.username, account.secret, "user:pass", "Basic ", "Whose", "properties", "project_id"):
        assert secret not in told


async def test_the_line_that_is_no_event_stays_here(client_of, recorded):
    class Bad:
        def pieces(self, *_, **__):
            yield b"jane@example.com is no event\n"

    async with FakeMixpanel(Bad(), today="2026-06-01", limits=None) as fake:
        with pytest.raises(DecodeError, match="jane"):
            async for _ in client_of(fake).stream_events(from_date="2026-01-01", to_date="2026-01-01"):
                pass
    assert "DecodeError" in recorded.text()
    assert "jane" not in recorded.text()


async def test_a_part_of_the_log_can_be_silenced(fake, client_of, caplog):
    caplog.set_level(logging.ERROR, "mixpanel_async.export")
    caplog.set_level(logging.INFO, "mixpanel_async")
    await client_of(fake).fetch_events(**days(1))
    assert [record.name for record in caplog.records] == ["mixpanel_async.telemetry"]


WITHOUT = """
import asyncio, sys
sys.modules.update({blocked})
from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

async def main():
    async with FakeMixpanel(GeneratedEvents(per_day=5), today="2026-06-01", limits=None) as fake:
        account = fake.project.service_account
        credentials = ServiceAccount(account.username, account.secret, fake.project.id)
        async with MixpanelClient(credentials, database="a.duckdb", base_url=fake.url) as client:
            print((await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02")).rows)
            print(len([event async for event in client.stream_events(from_date="2026-01-01", to_date="2026-01-01")]))
    print(sorted(name for name, module in sys.modules.items() if module and name.startswith("opentelemetry")))

{before}
asyncio.run(main())
"""


@pytest.mark.parametrize("blocked", [{}, {"opentelemetry": None}], ids=["not imported", "not installed"])
def test_without_opentelemetry_nothing_is_imported_and_all_works(tmp_path, blocked):
    script = WITHOUT.format(blocked=blocked, before="")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == ["10", "5", "[]"]
    assert ended.stderr == ""


def test_with_the_api_alone_all_works(tmp_path):
    script = WITHOUT.format(blocked={"opentelemetry.sdk": None}, before="from opentelemetry import trace")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[:2] == ["10", "5"]
    assert ended.stderr == ""
