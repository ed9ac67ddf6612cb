"""The app API (projects, workspaces, lexicon, annotations), and the list of cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.catalog import Annotation, Cohort, Schema
from mixpanel_async.testing.data.json_lines import dump_json
from mixpanel_async.testing.http.parameter_values import read_number, read_optional_date
from mixpanel_async.testing.projects.project import Project
from mixpanel_async.testing.query.query_context import MakeBody, QueryContext


def app_me(context: QueryContext) -> MakeBody:
    """Respond to ``app/me``: the projects that the credential has access to, with their time zones."""
    projects = {str(project.id): _project_json(project) for project in context.projects}
    organization = {"id": 1, "name": "Example", "role": "owner", "permissions": []}
    account = {"user_id": 1, "user_email": "svc@example.com", "user_name": "svc"}
    workspaces = {
        str(p.id * 10): {"id": p.id * 10, "name": "All Project Data", "project_id": p.id} for p in context.projects
    }
    return _app_body({**account, "organizations": {"1": organization}, "projects": projects, "workspaces": workspaces})


def public_workspaces(context: QueryContext) -> MakeBody:
    """Respond to ``workspaces/public``: the one workspace that each project has."""
    return _app_body([{"id": context.project.id * 10, "name": "All Project Data", "is_default": True}])


def lexicon_schemas(context: QueryContext) -> MakeBody:
    """Respond to ``schemas``: the entries of the lexicon; of one entity type or name if the request says so."""
    name = context.params.get("entity_name")
    kept = [
        entry
        for entry in context.catalog.schemas
        if context.path_suffix in {None, entry.entity_type} and name in {None, entry.name}
    ]
    return _app_page(context, [_schema_json(entry) for entry in kept])


def annotation_list(context: QueryContext) -> MakeBody:
    """Respond to ``annotations``: the annotations between two dates, in the form of the newer or the older path.

    Raises BadParameterError for an invalid date.
    """
    legacy = context.path_suffix == "legacy"
    names = ("from_date", "to_date") if legacy else ("fromDate", "toDate")
    first, last = (read_optional_date(context.params, name) for name in names)
    kept = [
        note
        for note in context.catalog.annotations
        if (first is None or note.date[:10] >= first.isoformat())
        and (last is None or note.date[:10] <= last.isoformat())
    ]
    entries = [_annotation_json(note, context.project, legacy=legacy) for note in kept]
    return partial(dump_json, {"annotations": entries}) if legacy else _app_page(context, entries)


def cohort_list(context: QueryContext) -> MakeBody:
    """Respond to ``cohorts/list``: all cohorts."""
    return lambda: dump_json([_cohort_json(cohort, context.project) for cohort in context.catalog.cohorts])


def _app_body(results: object) -> MakeBody:
    """Return results in the form of the app API."""
    return partial(dump_json, {"status": "ok", "results": results})


def _app_page(context: QueryContext, entries: Sequence[object]) -> MakeBody:
    """Return a list, or one page of it if QueryRules limit the entries. A cursor is the number of its first entry.

    Raises BadParameterError for an invalid cursor.
    """
    size = context.rules.entries
    if size is None:
        return _app_body(entries)
    first = read_number(context.params, "cursor", least=1) or 0
    next_cursor = str(first + size) if first + size < len(entries) else None
    pagination = {"page_size": size, "next_cursor": next_cursor}
    return partial(dump_json, {"status": "ok", "results": entries[first : first + size], "pagination": pagination})


def _project_json(project: Project) -> dict[str, object]:
    return {
        "name": f"Project {project.id}",
        "organization_id": 1,
        "timezone": project.timezone,
        "has_workspaces": False,
        "domain": "mixpanel.com",
        "type": "PROJECT",
    }


def _schema_json(entry: Schema) -> dict[str, object]:
    schema = {"description": entry.description, "properties": entry.properties, "metadata": entry.metadata}
    return {"entityType": entry.entity_type, "name": entry.name, "schemaJson": schema}


def _annotation_json(note: Annotation, project: Project, *, legacy: bool) -> dict[str, object]:
    moment = datetime.fromisoformat(note.date).replace(tzinfo=ZoneInfo(project.timezone))
    return {
        "id": note.id,
        "project_id": project.id,
        "date": note.date if legacy else moment.isoformat(),
        "description": note.description,
        "user": {"id": 1, "first_name": "", "last_name": ""},
        "tags": [{"id": tag, "name": name} for tag, name in note.tags],
    }


def _cohort_json(cohort: Cohort, project: Project) -> dict[str, object]:
    return {
        "id": cohort.id,
        "project_id": project.id,
        "name": cohort.name,
        "description": cohort.description,
        "data_group_id": cohort.data_group_id,
        "count": len(cohort.members),
        "is_visible": int(cohort.is_visible),
        "created": cohort.created,
    }
