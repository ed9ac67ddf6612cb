"""A fake Mixpanel for tests: a real HTTP server on loopback that responds as Mixpanel does.

```python
import aiohttp

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

async with FakeMixpanel(GeneratedEvents(per_day=20), today="2026-02-10", limits=None) as fake:
    fake.faults.add(Fault.status(503), date="2026-01-03", attempts=[1])
    account = fake.project.service_account
    query = {"project_id": str(fake.project.id), "from_date": "2026-01-01", "to_date": "2026-01-03"}
    headers = {"Authorization": account.authorization()}
    async with aiohttp.ClientSession(fake.url, headers=headers) as session:  # the code under test
        first = await session.get("/api/2.0/export", params=query)
        second = await session.get("/api/2.0/export", params=query)
        lines = (await second.read()).splitlines()
    assert [first.status, second.status] == [503, 200]
    assert len(lines) == len(list(fake.truth("2026-01-01", "2026-01-03")))
```

Public names:

- FakeMixpanel: the server. ``fake.url`` is the base URL. Events are at ``{url}/api/2.0/export``, profiles at
  ``{url}/api/query/engage``; ``http/routes.py`` lists the other endpoints.
- running: runs the server in a thread, for code without an event loop or with another kind of event loop.
- GeneratedEvents, GivenEvents: the events. EventSource is their protocol. ``fake.truth()`` yields the events that an
  export returns.
- GeneratedProfiles, GivenProfiles: the profiles. ProfileSource is their protocol. ``fake.truth_profiles()`` yields the
  profiles that a download returns.
- Catalog with Cohort, Schema and Annotation: cohorts, lexicon and annotations.
- QueryRules: how query endpoints behave where Mixpanel's docs say little.
- Fault, ``fake.faults.add(...)``: what goes wrong, for which dates or page, and at which attempt. FaultPlan is the type
  of ``fake.faults``, PlannedFault that of a fault in it.
- FakeLimits: the rate limits. The defaults are those of Mixpanel's docs.
- FakeClock, ``fake.clock``: the present moment. Move it forward to let late events arrive or rate limits reset.
- Project, ServiceAccount: the valid credentials, and each project's region (``fake.url_of``), its time zone (UTC, or
  its own if it was created before 2023) and its own events, if any.
- Wording: how errors are worded, where several wordings of Mixpanel are known.
- RequestRecord, ``fake.requests``: each request and its response. They contain no secrets.

Mixpanel's filter expressions work in ``where``: see ``mixpanel_async.testing.where``.

The files, in the order in which a request passes through them:

- ``thread.py``, ``__main__.py`` with ``shell/``: start the server from a thread, or from a shell.
    ``shell/command_line.py`` has the options, ``shell/fault_option.py`` the option ``--fault``.
- ``server.py``: FakeMixpanel. ``clock.py``: FakeClock.
- ``http/``: receives a request. ``listener.py`` has the ports, ``routes.py`` the paths, ``request_parameters.py`` the
    query string and the body, ``request_log.py`` the records. ``response.py`` and ``error_wording.py`` make short
    responses, mostly refusals; ``parameter_values.py`` converts single parameters for the endpoints below.
- ``projects/``: ``authentication.py`` finds the ``project.py`` of a credential; ``project_data.py`` has its events.
- ``limits/``: ``rate_limiter.py`` counts the request, ``too_many_requests.py`` makes the 429.
- ``export/``: ``export_endpoint.py`` responds to exports. ``export_query.py`` parses the parameters,
    ``event_reader.py`` selects the lines.
- ``query/``: ``query_endpoints.py`` responds to all other requests, from a ``query_context.py`` and with the
    ``query_rules.py``. Profiles: ``engage_sessions.py``, ``profile_query.py``, ``profile_selection.py`` and
    ``behaviors.py``. The others: ``names_and_values.py``, ``event_counts.py`` and ``app_api.py``.
- ``where/``: ``grammar.py`` parses filter expressions, ``values.py`` has their operators.
- ``data/``: where events and profiles come from. ``events.py``, ``profiles.py`` and ``catalog.py`` are given;
    ``generated_events.py`` and ``generated_profiles.py`` use ``event_templates.py``, ``profile_templates.py`` and
    ``users.py``. ``json_lines.py``, ``time_units.py`` and ``time_zones.py`` are used by all.
- ``faults/``: ``fault_plan.py`` finds the ``fault.py`` of a request; ``body_edits.py`` has the edits to its body.
- ``sending/``: ``send_response.py`` sends the response. ``body_encoder.py`` applies ``gzip_encoding.py`` and the fault,
    ``body_cache.py`` keeps encoded bodies, ``streaming.py`` writes to the connection.

The package needs aiohttp and anyio, uses isal if it is installed, and imports nothing else of this library.
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
