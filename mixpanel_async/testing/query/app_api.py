"""The app API and the list of cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.catalog import Annotation, Cohort, Schema
from mixpanel_async.testing.data.json_lines import written
from mixpanel_async.testing.export.export_query import date_of
from mixpanel_async.testing.projects.project import Project
from mixpanel_async.testing.query.profile_query import number
from mixpanel_async.testing.query.query_context import Body, Question


def cohort_list(question: Question) -> Body:
    """Answer with the cohorts."""
    return lambda: written([_cohort(cohort, question.project) for cohort in question.catalog.cohorts])


def schemas(question: Question) -> Body:
    """Answer with the lexicon's entries, of one type or name if so asked."""
    name = question.params.get("entity_name")
    kept = [
        entry
        for entry in question.catalog.schemas
        if question.rest in {None, entry.entity_type} and name in {None, entry.name}
    ]
    return _app_list(question, [_schema(entry) for entry in kept])


def notes(question: Question) -> Body:
    """Answer with the annotations of some dates: with the project's offset, or the way of the older path."""
    names = ("from_date", "to_date") if question.rest == "legacy" else ("fromDate", "toDate")
    first, last = (_date(question, name) for name in names)
    kept = [
        note
        for note in question.catalog.annotations
        if (first is None or note.date[:10] >= first.isoformat())
        and (last is None or note.date[:10] <= last.isoformat())
    ]
    told = [_annotation(note, question.project, legacy=question.rest == "legacy") for note in kept]
    return partial(written, {"annotations": told}) if question.rest == "legacy" else _app_list(question, told)


def workspaces(question: Question) -> Body:
    """Answer with the one workspace that each project has."""
    return _app_results([{"id": question.project.id * 10, "name": "All Project Data", "is_default": True}])


def me(question: Question) -> Body:
    """Answer with what the credential opens; this is where a project's time zone is told."""
    projects = {str(project.id): _project(project) for project in question.projects}
    organization = {"id": 1, "name": "Example", "role": "owner", "permissions": []}
    account = {"user_id": 1, "user_email": "svc@example.com", "user_name": "svc"}
    workspaces = {
        str(p.id * 10): {"id": p.id * 10, "name": "All Project Data", "project_id": p.id} for p in question.projects
    }
    return _app_results(
        {**account, "organizations": {"1": organization}, "projects": projects, "workspaces": workspaces}
    )


def _app_results(results: object) -> Body:
    """Answer as the app's API does."""
    return partial(written, {"status": "ok", "results": results})


def _app_list(question: Question, entries: Sequence[object]) -> Body:
    """Answer with a list, or the page of it that a cursor leads to: here, the number of its first entry."""
    size = question.rules.entries
    if size is None:
        return _app_results(entries)
    first = number(question.params, "cursor", least=1) or 0
    following = str(first + size) if first + size < len(entries) else None
    pagination = {"page_size": size, "next_cursor": following}
    return partial(written, {"status": "ok", "results": entries[first : first + size], "pagination": pagination})


def _cohort(cohort: Cohort, project: Project) -> dict[str, object]:
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


def _schema(entry: Schema) -> dict[str, object]:
    described = {"description": entry.description, "properties": entry.properties, "metadata": entry.metadata}
    return {"entityType": entry.entity_type, "name": entry.name, "schemaJson": described}


def _annotation(note: Annotation, project: Project, *, legacy: bool) -> dict[str, object]:
    moment = datetime.fromisoformat(note.date).replace(tzinfo=ZoneInfo(project.timezone))
    return {
        "id": note.id,
        "project_id": project.id,
        "date": note.date if legacy else moment.isoformat(),
        "description": note.description,
        "user": {"id": 1, "first_name": "", "last_name": ""},
        "tags": [{"id": tag, "name": name} for tag, name in note.tags],
    }


def _project(project: Project) -> dict[str, object]:
    return {
        "name": f"Project {project.id}",
        "organization_id": 1,
        "timezone": project.timezone,
        "has_workspaces": False,
        "domain": "mixpanel.com",
        "type": "PROJECT",
    }


def _date(question: Question, name: str) -> date | None:
    return date_of(question.params, name) if question.params.get(name) else None
