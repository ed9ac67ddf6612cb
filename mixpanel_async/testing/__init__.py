"""A fake Mixpanel for tests: a real HTTP server on loopback that exports events and profiles as Mixpanel does.

    from mixpanel_async.testing import Fault, FakeMixpanel, GeneratedEvents

    async with FakeMixpanel(GeneratedEvents(per_day=2000), today="2026-02-10", limits=None) as fake:
        fake.faults.add(Fault.cut(after_fraction=0.5), date="2026-01-03", attempts=[1])
        account = fake.project.service_account
        await export_everything(  # what you test
            fake.url, account.username, account.secret, fake.project.id, "2026-01-01", "2026-01-07"
        )
        assert fake.requests[-1].status == 200
        expected = list(fake.truth("2026-01-01", "2026-01-07"))

What there is:

- FakeMixpanel: the server. ``url`` is the base URL, ``{url}/api/2.0/export`` the endpoint for events,
  ``{url}/api/query/engage`` that for profiles; ``endpoints.py`` lists the small ones beside them.
- running: the server on a thread of its own, where there is no event loop, or one of another kind.
- GeneratedEvents, GivenEvents: where its events come from; EventSource is the protocol they follow.
- GeneratedProfiles, GivenProfiles: where its profiles come from (ProfileSource). ``fake.truth_profiles()``
  yields what a whole download holds.
- Catalog with Cohort, Schema and Annotation: what the lookups tell beside names of events and properties.
- QueryRules: how queries behave where several things are known, or nothing is.
- Fault, ``fake.faults.add(...)``: what goes wrong, with which chunk or page, at which attempt.
- FakeLimits: rate limits, on by default as Mixpanel's docs give them.
- FakeClock, ``fake.clock``: what day it is; move it to let late events arrive and limits pass.
- Project, ServiceAccount: the credentials that are taken, and for each project its region (``fake.url_of``),
  its clock (UTC, or its own time zone if it was made before 2023) and, if need be, its own events.
- Wording: which of several known or inferred answers refusals get.
- ``where``: Mixpanel's filter expressions are understood, see ``mixpanel_async.testing.where``.
- RequestRecord, ``fake.requests``: what was asked and what became of it. Secrets are not kept.

It stands alone: it needs aiohttp, and nothing else of this library.
"""

from __future__ import annotations

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.catalog import Annotation, Catalog, Cohort, Schema
from mixpanel_async.testing.data.events import EventSource, GivenEvents
from mixpanel_async.testing.data.generated_events import GeneratedEvents
from mixpanel_async.testing.data.generated_profiles import GeneratedProfiles
from mixpanel_async.testing.data.profiles import GivenProfiles, ProfileSource
from mixpanel_async.testing.faults.fault import Fault
from mixpanel_async.testing.faults.fault_plan import FaultPlan, PlannedFault
from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.limits.rate_limiter import FakeLimits
from mixpanel_async.testing.projects.project import Project, ServiceAccount
from mixpanel_async.testing.query.query_rules import QueryRules
from mixpanel_async.testing.server import FakeMixpanel
from mixpanel_async.testing.thread import running

__all__ = [
    "Annotation",
    "Catalog",
    "Cohort",
    "EventSource",
    "FakeClock",
    "FakeLimits",
    "FakeMixpanel",
    "Fault",
    "FaultPlan",
    "GeneratedEvents",
    "GeneratedProfiles",
    "GivenEvents",
    "GivenProfiles",
    "PlannedFault",
    "ProfileSource",
    "Project",
    "QueryRules",
    "RequestRecord",
    "Schema",
    "ServiceAccount",
    "Wording",
    "running",
]
