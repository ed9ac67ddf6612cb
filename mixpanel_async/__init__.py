"""Export Mixpanel's raw events and profiles, in parallel, into DuckDB, from asyncio.

```python
from mixpanel_async import MixpanelClient

async with MixpanelClient(database="mixpanel.duckdb") as client:
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-07", parallel=True)
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mixpanel_async._version import __version__

if TYPE_CHECKING:
    from mixpanel_async.api.credentials import OAuthToken, ProjectSecret, ServiceAccount
    from mixpanel_async.api.limits import RateLimits
    from mixpanel_async.api.retry import RetryPolicy
    from mixpanel_async.api.transport import Timeouts
    from mixpanel_async.catalog import Project
    from mixpanel_async.client import MixpanelClient
    from mixpanel_async.coverage import Coverage, CoveredChunk, CoveredDay, RejectedChunk
    from mixpanel_async.description import Description, Property, SchemaChange
    from mixpanel_async.duck.query_result import QueryResult
    from mixpanel_async.errors import (
        AuthenticationError,
        ConfigurationError,
        ConnectionLostError,
        DatabaseLockedError,
        DecodeError,
        ExportError,
        MixpanelError,
        QueryError,
        RateLimitError,
        SelectionMismatchError,
        ServerError,
        StoreError,
        TableExistsError,
        TableNotFoundError,
    )
    from mixpanel_async.store import Store
    from mixpanel_async.tables import TableInfo
    from mixpanel_async.types import (
        BatchProgress,
        Failure,
        FetchPlan,
        FetchProgress,
        FetchResult,
        ParallelFetchResult,
        ParallelProfileFetchResult,
        ProfileBatchProgress,
    )
    from mixpanel_async.verification import DayCount, Verification
    from mixpanel_async.views import ViewColumn, ViewInfo
    from mixpanel_async.written import CompactResult, ExportProgress, ExportResult

__all__ = [
    "AuthenticationError",
    "BatchProgress",
    "CompactResult",
    "ConfigurationError",
    "ConnectionLostError",
    "Coverage",
    "CoveredChunk",
    "CoveredDay",
    "DatabaseLockedError",
    "DayCount",
    "DecodeError",
    "Description",
    "ExportError",
    "ExportProgress",
    "ExportResult",
    "Failure",
    "FetchPlan",
    "FetchProgress",
    "FetchResult",
    "MixpanelClient",
    "MixpanelError",
    "OAuthToken",
    "ParallelFetchResult",
    "ParallelProfileFetchResult",
    "ProfileBatchProgress",
    "Project",
    "ProjectSecret",
    "Property",
    "QueryError",
    "QueryResult",
    "RateLimitError",
    "RateLimits",
    "RejectedChunk",
    "RetryPolicy",
    "SchemaChange",
    "SelectionMismatchError",
    "ServerError",
    "ServiceAccount",
    "Store",
    "StoreError",
    "TableExistsError",
    "TableInfo",
    "TableNotFoundError",
    "Timeouts",
    "Verification",
    "ViewColumn",
    "ViewInfo",
    "__version__",
]

_MODULES = {
    "api.credentials": ("OAuthToken", "ProjectSecret", "ServiceAccount"),
    "api.limits": ("RateLimits",),
    "api.retry": ("RetryPolicy",),
    "api.transport": ("Timeouts",),
    "catalog": ("Project",),
    "client": ("MixpanelClient",),
    "coverage": ("Coverage", "CoveredChunk", "CoveredDay", "RejectedChunk"),
    "description": ("Description", "Property", "SchemaChange"),
    "duck.query_result": ("QueryResult",),
    "errors": (
        "AuthenticationError",
        "ConfigurationError",
        "ConnectionLostError",
        "DatabaseLockedError",
        "DecodeError",
        "ExportError",
        "MixpanelError",
        "QueryError",
        "RateLimitError",
        "SelectionMismatchError",
        "ServerError",
        "StoreError",
        "TableExistsError",
        "TableNotFoundError",
    ),
    "store": ("Store",),
    "tables": ("TableInfo",),
    "types": (
        "BatchProgress",
        "Failure",
        "FetchPlan",
        "FetchProgress",
        "FetchResult",
        "ParallelFetchResult",
        "ParallelProfileFetchResult",
        "ProfileBatchProgress",
    ),
    "verification": ("DayCount", "Verification"),
    "views": ("ViewColumn", "ViewInfo"),
    "written": ("CompactResult", "ExportProgress", "ExportResult"),
}
"""Where each name is. A name is imported when it is used: `mixpanel-async --help` needs none of them."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
