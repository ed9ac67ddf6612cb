"""Export Mixpanel's raw events and profiles, in parallel, into DuckDB, from asyncio.

from mixpanel_async import MixpanelClient, ServiceAccount

async with MixpanelClient(ServiceAccount("user", "secret", project_id=123), region="eu") as client:
    await client.fetch_events("events", from_date="2024-01-01", to_date="2024-12-31", parallel=True)
"""

from mixpanel_async._version import __version__
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
from mixpanel_async.written import CompactResult, ExportResult

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
