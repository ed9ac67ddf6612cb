"""A script without `async` and `await`: anyio runs the event loop in a thread, and each call waits for its result.

    python examples/blocking.py

Without an account it exports from a fake Mixpanel on this machine. For your own project, set MP_USERNAME, MP_SECRET
and MP_PROJECT_ID (of a service account), and MP_REGION if it is not `us`.

Ctrl-C interrupts the call that waits. Then the `with` closes the client, which ends the fetch: chunks that were
committed stay, the others leave nothing, and the script ends with a KeyboardInterrupt. Run again, it goes on.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from anyio.from_thread import start_blocking_portal

from mixpanel_async import BatchProgress, MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, running

TODAY = dt.datetime.now(dt.UTC).date()


@contextmanager
def project() -> Iterator[dict[str, Any]]:
    """Yield the arguments of the client: none for your project, or those for the fake Mixpanel."""
    if "MP_USERNAME" in os.environ:
        yield {}
        return
    with running(FakeMixpanel(GeneratedEvents(per_day=500), today=TODAY, limits=None)) as fake:
        account = fake.project.service_account
        yield {
            "credentials": ServiceAccount(account.username, account.secret, fake.project.id),
            "base_url": fake.url,
        }


def report(done: BatchProgress) -> None:
    """Report one chunk."""
    print(f"{done.from_date} to {done.to_date}: {done.error or f'{done.rows:,} rows'}", flush=True)


def main(settings: dict[str, Any]) -> None:
    """Fetch the last two weeks, then count."""
    dates = {"from_date": TODAY - dt.timedelta(weeks=2), "to_date": TODAY - dt.timedelta(days=1)}
    opened = MixpanelClient(**settings, database="blocking.duckdb")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as client:
        fetch = partial(client.fetch_events, **dates, parallel=True, resume=True, on_batch_complete=report)
        print(portal.call(fetch))
        print(portal.call(client.store.query, "SELECT event_name, count(*) AS events FROM events GROUP BY ALL"))


if __name__ == "__main__":
    with project() as settings:
        main(settings)
