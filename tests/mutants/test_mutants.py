"""Do the tests have teeth? Each mistake here is made in a copy of the library, and must turn a test red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import mixpanel_async
from tests.slices import few

PACKAGE = Path(mixpanel_async.__file__).parent
TESTS = Path(__file__).parents[1]
USUAL = {name: value for name, value in os.environ.items() if name != "MIXPANEL_ASYNC_NIGHTLY"}
"""The slices that each run takes must find the mistake."""


@dataclass(frozen=True)
class Mutant:
    file: str
    right: str
    wrong: str
    test: str


MUTANTS = {
    "no trailer check": Mutant(
        "decode/gunzip.py",
        "    if member is not None:\n        raise ConnectionLostError(",
        "    if member is not None and False:\n        raise ConnectionLostError(",
        "tests/system/test_faults.py -k trailer",
    ),
    "no BEGIN": Mutant(
        "duck/table_sink.py",
        'self._cursor.execute("BEGIN")',
        "pass",
        "tests/system/test_faults.py -k trailer",
    ),
    "a bare to_thread": Mutant(
        "threads.py",
        "    if (cancelled := await wait_for_all([work], interrupt)) is not None:\n",
        "    return await work\n    if (cancelled := None) is not None:\n",
        "tests/cancellation/test_every_step.py tests/test_threads.py",
    ),
    "the journal in a second transaction": Mutant(
        "duck/table_sink.py",
        "        self._record(record, counts, is_atomic",
        '        self._cursor.execute("COMMIT")\n        self._cursor.execute("BEGIN")\n'
        "        self._record(record, counts, is_atomic",
        "tests/duck/test_one_transaction.py",
    ),
    "half-open dates": Mutant(
        "dates.py",
        "min(start + chunk_days, days) - 1)",
        "min(start + chunk_days, days - 1))",
        "tests/system/test_exact.py -k one_request",
    ),
    "times in whole seconds": Mutant(
        "export/request.py",
        ', "time_in_ms": "true"}',
        "}",
        "tests/system/test_milliseconds.py -k order",
    ),
    "success before the commit": Mutant(
        "export/writer.py",
        "                outcome = await self._cores.run(message.context.run, chunk.end, message)\n",
        "                from mixpanel_async.types import BatchResult as Early\n"
        "                from mixpanel_async.export.results import Outcome as Early2\n"
        "                message.acknowledge.set_result(Early2(Early(*message.chunk, 0, message.whole)))\n"
        "                outcome = await self._cores.run(message.context.run, chunk.end, message)\n",
        "tests/system/test_calls.py -k hear",
    ),
    "insert_id for a key": Mutant(
        "duck/keys.py",
        'KEY = "event_name, distinct_id, event_time, insert_id"',
        'KEY = "insert_id"',
        "tests/system/test_exact.py -k one_request",
    ),
    "profiles that lack a page": Mutant(
        "engage/fetch.py",
        "            if not outcome.errors:\n                await held.run(_publish",
        "            if outcome.pages:\n                await held.run(_publish",
        "tests/engage/test_fetch.py -k always_fails",
    ),
    "a total that is believed": Mutant(
        "engage/paging.py",
        "        if rows >= self.session.page_size:\n            return True\n",
        "        if rows >= self.session.page_size:\n            return self._counted > self._requested\n",
        "tests/engage/test_totals.py -k field",
    ),
    "a page and its row apart": Mutant(
        "duck/profiles_table.py",
        "            transaction(self._cursor),\n",
        "",
        "tests/duck/test_profiles_table.py",
    ),
    "credentials of another project": Mutant(
        "duck/projects.py",
        "project is None or held == project",
        "project is None or held != project",
        "tests/system/test_projects.py -k refused",
    ),
    "a table that was replaced meanwhile": Mutant(
        "duck/events_table.py",
        "is_same = found == self._description",
        "is_same = found is not None",
        "tests/system/test_turns.py -k replaced",
    ),
    "dates that were fetched elsewhere meanwhile": Mutant(
        "duck/events_table.py",
        "        self._look_again()\n",
        "",
        "tests/system/test_turns.py -k other_chunks",
    ),
    "a file that is never let go": Mutant(
        "holding.py",
        "call_later(LINGER",
        "call_later(3600",
        "tests/system/test_turns.py -k free_while",
    ),
    "a committed broken body": Mutant(
        "export/fetch.py",
        "whole=False",
        "whole=True",
        "tests/system/test_faults.py -k failed_append",
    ),
    "a fast parser that accepts more than an event": Mutant(
        "duck/parser.py",
        "            AND suspect = 0 AND",
        "            AND",
        "tests/decode/test_agreement.py",
    ),
    "no bound on the chunks that are written": Mutant(
        "export/fetch.py",
        "asyncio.Semaphore(CHUNKS_AT_ONCE)",
        "asyncio.Semaphore(1000)",
        "tests/system/test_faults.py -k written_at_once",
    ),
    "only the last body's framing": Mutant(
        "export/download.py",
        "if not all(body.has_end_mark for body in bodies):",
        "if not bodies[-1].has_end_mark:",
        "tests/system/test_faults.py -k framing",
    ),
    "rejected lines of a failed chunk that are lost": Mutant(
        "duck/chunk_loader.py",
        "self._sink.commit_rejected()",
        "self._sink.roll_back()",
        "tests/system/test_bad_lines.py -k chunk_of_which",
    ),
    "old rows that go though no line is an event": Mutant(
        "duck/table_sink.py",
        "        journal.delete_failed(self._cursor, self._schema, self._name, self._dates)\n",
        "        self._delete_old()\n",
        "tests/system/test_bad_lines.py -k old_rows",
    ),
    "halves of a limited request": Mutant(
        "export/download.py",
        " and self._selection.limit is None",
        "",
        "tests/system/test_faults.py -k limited",
    ),
    "a bad last line without a second attempt": Mutant(
        "decode/slow_parser.py",
        "not (is_ended and self._last_line == known_end)",
        "not is_ended",
        "tests/system/test_bad_lines.py -k differs",
    ),
    "a good half requested again": Mutant(
        "export/download.py",
        "            failures = body.attempts.failures\n",
        "            failures = body.attempts.failures\n"
        "            for other in bodies:\n"
        "                other.spool = None\n",
        "tests/system/test_faults.py -k not_requested_again",
    ),
    "rows that wait for duplicates, inserted too early": Mutant(
        "duck/dedup.py",
        "        self._insert(is_event & ~waits & ~of_last_day)\n",
        "        self._insert(is_event & ~of_last_day)\n",
        "tests/duck/test_dedup.py -k far_apart",
    ),
    "rows that waited for duplicates, inserted twice": Mutant(
        "duck/dedup.py",
        "        self.rows, self._waiting = self._waiting, RowBuffer()\n",
        "        self.rows = self._waiting\n",
        "tests/duck/test_dedup.py -k limited",
    ),
    "rows of a day that goes on, inserted twice": Mutant(
        "duck/dedup.py",
        "        self._insert(is_event & ~waits & ~of_last_day)\n",
        "        self._insert(is_event & ~waits)\n",
        "tests/duck/test_dedup.py -k days_follow",
    ),
    "a blank insert id for a key": Mutant(
        "duck/parser.py",
        "(is_event AND {HAS_KEY})",
        "(is_event AND insert_id IS NOT NULL)",
        "tests/duck/test_events_table.py -k blank",
    ),
    "rejected lines of complete dates that go with the whole chunk": Mutant(
        "duck/table_sink.py",
        "            journal.shorten_rejected(self._cursor, self._schema, self._name, self._dates, complete)\n",
        "",
        "tests/duck/test_journal.py -k bad_line",
    ),
    "rejected lines that are not cut with their chunk": Mutant(
        "duck/journal.py",
        "SET to_date = {date} - 1 WHERE",
        "SET to_date = to_date WHERE",
        "tests/duck/test_journal.py -k bad_line",
    ),
    "rejected lines that stay when their chunk is replaced": Mutant(
        "duck/journal.py",
        '        cursor.execute(f"DELETE FROM {schema}._mixpanel_rejected WHERE {_WITHIN} AND',
        '        0 and cursor.execute(f"DELETE FROM {schema}._mixpanel_rejected WHERE {_WITHIN} AND',
        "tests/duck/test_journal.py -k bad_line",
    ),
    "row numbers that are trusted": Mutant(
        "duck/table_sink.py",
        "        if shown != inserted:\n",
        "        if False:\n",
        "tests/duck/test_events_table.py -k another_way",
    ),
    "rows of two chunks that are not compared": Mutant(
        "duck/table_sink.py",
        "            copies.mark(self._cursor, self._schema, self._name, self._dates)\n",
        "            pass\n",
        "tests/duck/test_copies.py -k shown",
    ),
    "days whose weight does not count": Mutant(
        "export/weights.py",
        "min(run, room // self._bytes[index]) if self._bytes[index] else run",
        "run",
        "tests/system/test_auto_chunks.py -k weight",
    ),
    "an hour that always counts as full": Mutant(
        "export/plan.py",
        "for requests in (budget.left, budget.per_hour)",
        "for requests in (budget.per_hour,)",
        "tests/system/test_auto_chunks.py -k second_call",
    ),
    "parts that take the requests of other chunks": Mutant(
        "export/request_days.py",
        "1 + max(0, left - self._unsent)",
        "1 + left",
        "tests/system/test_auto_chunks.py -k within_the_hour",
    ),
    "a sync that trusts the zone": Mutant(
        "engage/sync.py",
        "OVERLAP = dt.timedelta(hours=26)",
        "OVERLAP = dt.timedelta(0)",
        "tests/engage/test_sync.py -k every_zone",
    ),
    "a sync's time before its profiles": Mutant(
        "duck/profiles_table.py",
        "            return self._own()\n\n    def resume",
        "            record_merge(self._cursor, self._database.schema, self._name, self._began(), 0)\n"
        "            return self._own()\n\n    def resume",
        "tests/engage/test_sync.py -k any_moment",
    ),
    "a table that somebody changed, synced": Mutant(
        "duck/held_profiles.py",
        "AND rows = (SELECT count(*) FROM {schema.table(name)})",
        "",
        "tests/engage/test_sync.py -k somebody",
    ),
    "copies that are thrown away": Mutant(
        "duck/events_table.py",
        "            copies.put_back(cursor,",
        "            0 and copies.put_back(cursor,",
        "tests/duck/test_copies.py -k any_more",
    ),
    "a reading that could write": Mutant(
        "duck/reading.py",
        "BEGIN TRANSACTION READ ONLY",
        "BEGIN TRANSACTION",
        "tests/store/test_store.py -k written",
    ),
    "a reading beside a client's lock": Mutant(
        "duck/sharing.py",
        '            raise _open_here(path, "where a client',
        '            0 and _open_here(path, "where a client',
        "tests/store/test_store.py -k client_of_this_process_is",
    ),
    "a row out of range on the date of its time": Mutant(
        "duck/coverage.py",
        "            UNION ALL FROM moved\n",
        "",
        "tests/duck/test_coverage.py -k out_of_range",
    ),
    "the counts of only some names": Mutant(
        "verify/request.py",
        "            yield some\n            some, size = [], 0\n",
        "            yield some\n            return\n",
        "tests/system/test_verify.py -k fit_one_url",
    ),
    "an older row that stays beside one that is processed again": Mutant(
        "duck/merge_sink.py",
        "        self._delete(_IS_OLDER.format(table=self._table))\n",
        "",
        "tests/system/test_sync.py -k processed_again",
    ),
    "a merge that takes rows it has not asked for": Mutant(
        "duck/merge_sink.py",
        "        self._execute(_DELETE_OTHERS)\n",
        "",
        "tests/system/test_sync.py -k asked_for",
    ),
    "a merge that settles a day for replaces": Mutant(
        "export/sync_plan.py",
        "row.current_to if self.merges else row.fetched_at",
        "row.current_to",
        "tests/export/test_sync_plan.py -k settles",
    ),
    "late rows of the last day of the lookback": Mutant(
        "export/sync_plan.py",
        "return row.last <= over - self",
        "return row.last <= over + ONE_DAY - self",
        "tests/export/test_sync_plan.py -k until",
    ),
    "a request that is cancelled and stays counted": Mutant(
        "api/budget_file.py",
        "await self._file.run(self._file.remove, self._name, key)",
        "pass",
        "tests/api/test_budget_file.py -k cancel",
    ),
    "a place that two clients take": Mutant(
        "api/limits.py",
        "            if is_taken:\n",
        "            if True:\n",
        "tests/api/test_budget.py -k meanwhile",
    ),
    "a commit outside its chunk's span": Mutant(
        "export/writer.py",
        "self._cores.run(message.context.run, chunk.end, message)",
        "self._cores.run(chunk.end, message)",
        "tests/system/test_telemetry.py -k retry_and_a_failed",
    ),
    "a stream's span in the caller's loop": Mutant(
        "export/stream.py",
        "telemetry.call(name, is_current=False)",
        "telemetry.call(name)",
        "tests/system/test_telemetry.py -k leaves_the_callers",
    ),
    "rows counted before the commit": Mutant(
        "export/writer.py",
        "                counts = (loader := self._begun_loader()).commit(record)\n",
        '                telemetry.committed(commit, "events", rows=1)\n'
        "                counts = (loader := self._begun_loader()).commit(record)\n",
        "tests/system/test_telemetry.py -k cannot_be_written",
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_mistake_fits_the_code(mutant):
    assert (PACKAGE / mutant.file).read_text(encoding="utf-8").count(mutant.right) == 1


@pytest.mark.parametrize("name", few(MUTANTS, 3))
def test_a_mistake_turns_a_test_red(name, tmp_path):
    mutant = MUTANTS[name]
    shutil.copytree(PACKAGE, tmp_path / "mixpanel_async", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(TESTS, tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TESTS.parent / "pyproject.toml", tmp_path)
    target = tmp_path / "mixpanel_async" / mutant.file
    target.write_text(target.read_text(encoding="utf-8").replace(mutant.right, mutant.wrong), encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *mutant.test.split()]
    run = subprocess.run(command, cwd=tmp_path, env=USUAL, capture_output=True, text=True, check=False)

    assert run.returncode == 1, run.stdout[-2000:] + run.stderr[-2000:]
