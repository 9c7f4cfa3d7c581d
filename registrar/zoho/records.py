"""Records of Zoho CRM: read, search, write.

A record is Zoho's JSON object: api names to values. The limits of a call are constants
here; a function that writes sends one request, so that its caller knows after an
uncertain answer which records may have been written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registrar.zoho.answers import RowResult, row_results, unreadable
from registrar.zoho.client import ZohoClient
from registrar.zoho.values import api_name, record_id as checked_id

Record = dict[str, Any]

PER_PAGE = 200
MAX_FIELDS = 50
MAX_IDS = 100
MAX_WRITES = 100
MAX_QUERY_ROWS = 2000
_WRITES_PER_CREDIT = 10
_DELETED_COST = 2


@dataclass(frozen=True, slots=True)
class Page:
    """Up to 200 records; ``next_token`` continues after them, "" at the end."""

    records: list[Record]
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class DeletedRecord:
    """A record in Zoho's recycle bin, or deleted for good (``type`` ``permanent``)."""

    id: str
    type: str
    deleted_time: str


def get(client: ZohoClient, *, module: str, record_id: str) -> Record | None:
    """Return one record with all its fields; None if there is none."""
    found = _data(client.get(f"{api_name(module)}/{checked_id(record_id)}"))
    return found[0] if found else None


def get_many(
    client: ZohoClient, *, module: str, ids: Sequence[str], fields: Sequence[str]
) -> dict[str, Record]:
    """Return the records with ``ids`` (at most 100) by id; unknown ids are left out."""
    _at_most(MAX_IDS, ids, "ids")
    if not ids:
        return {}
    params = {"ids": ",".join(map(checked_id, ids)), "fields": _field_list(fields)}
    return {
        str(record["id"]): record for record in _data(client.get(module, params=params))
    }


def pages(
    client: ZohoClient,
    *,
    module: str,
    fields: Sequence[str],
    since: datetime | None = None,
    token: str = "",
) -> Iterator[Page]:
    """Iterate over all records, the longest unchanged first, page by page.

    Args:
        fields: at most 50.
        since: only records modified at this time or later.
        token: continues after a page of an earlier call with the same arguments; Zoho
            keeps it for a day.
    """
    while True:
        params = {
            "fields": _field_list(fields),
            "per_page": str(PER_PAGE),
            "sort_by": "Modified_Time",
            "sort_order": "asc",
        }
        if token:
            params["page_token"] = token
        body = client.get(api_name(module), params=params, since=since)
        if body is None:
            return
        token = _next_token(body)
        yield Page(_data(body), token)
        if not token:
            return


def deleted(
    client: ZohoClient, *, module: str, since: datetime | None = None
) -> Iterator[DeletedRecord]:
    """Iterate over the records deleted at ``since`` or later; Zoho keeps 60 days."""
    page = 1
    while True:
        params = {"type": "all", "per_page": str(PER_PAGE), "page": str(page)}
        body = client.get(
            f"{api_name(module)}/deleted",
            params=params,
            since=since,
            cost=_DELETED_COST,
        )
        for row in _data(body):
            yield DeletedRecord(
                str(row["id"]),
                str(row.get("type", "")),
                str(row.get("deleted_time") or ""),
            )
        if not body or not _info(body).get("more_records"):
            return
        page += 1


def search(
    client: ZohoClient, *, module: str, criteria: str, fields: Sequence[str]
) -> list[Record]:
    """Return up to 200 records that meet ``criteria`` (`values.criterion`).

    Zoho searches an index that follows the records after some seconds: before a create
    is repeated, use `query`, which reads the records themselves.
    """
    params = {
        "criteria": criteria,
        "fields": _field_list(fields),
        "per_page": str(PER_PAGE),
    }
    return _data(client.get(f"{api_name(module)}/search", params=params))


def query(client: ZohoClient, *, select: str) -> list[Record]:
    """Return the rows of a COQL query, at most 2,000 (``limit`` in the query).

    Args:
        select: ``select … from … where … limit …``; texts from `values.coql_text`.
    """
    return _data(client.query("coql", {"select_query": select}))


def related(
    client: ZohoClient,
    *,
    module: str,
    record_id: str,
    related_list: str,
    fields: Sequence[str],
) -> list[Record]:
    """Return all records of a related list, which has its own api name."""
    path = f"{api_name(module)}/{checked_id(record_id)}/{api_name(related_list)}"
    found: list[Record] = []
    page = 1
    while True:
        params = {
            "fields": _field_list(fields),
            "per_page": str(PER_PAGE),
            "page": str(page),
        }
        body = client.get(path, params=params)
        found += _data(body)
        if not body or not _info(body).get("more_records"):
            return found
        page += 1


def create(
    client: ZohoClient,
    *,
    module: str,
    records: Sequence[Mapping[str, Any]],
    run_workflows: bool,
) -> list[RowResult]:
    """Create up to 100 records; one result for each, in the same order.

    Args:
        run_workflows: whether Zoho's workflows, approvals and blueprints see them.
    """
    return _write(
        client, "POST", api_name(module), records, run_workflows=run_workflows
    )


def update(
    client: ZohoClient,
    *,
    module: str,
    records: Sequence[Mapping[str, Any]],
    run_workflows: bool,
) -> list[RowResult]:
    """Update up to 100 records, each with its ``id``; one result for each."""
    return _write(client, "PUT", api_name(module), records, run_workflows=run_workflows)


def upsert(
    client: ZohoClient,
    *,
    module: str,
    records: Sequence[Mapping[str, Any]],
    by: Sequence[str],
    run_workflows: bool,
) -> list[RowResult]:
    """Update the records with the same values in the unique fields ``by``, else create.

    At most 100; one result for each, whose ``action`` is ``insert`` or ``update``.
    """
    return _write(
        client,
        "POST",
        f"{api_name(module)}/upsert",
        records,
        run_workflows=run_workflows,
        duplicate_check_fields=list(by),
    )


def _write(
    client: ZohoClient,
    method: str,
    path: str,
    records: Sequence[Mapping[str, Any]],
    *,
    run_workflows: bool,
    **extra: Any,
) -> list[RowResult]:
    _at_most(MAX_WRITES, records, "records")
    if not records:
        return []
    body: dict[str, Any] = {"data": list(records), **extra}
    if not run_workflows:
        body["trigger"] = []
    cost = -(-len(records) // _WRITES_PER_CREDIT)
    answer = client.write(method, path, json=body, cost=cost)
    return row_results(answer, expected=len(records))


def _at_most(most: int, values: Sequence[Any], name: str) -> None:
    if len(values) > most:
        raise ValueError(f"{len(values)} {name}; Zoho takes at most {most} in a call")


def _field_list(fields: Sequence[str]) -> str:
    _at_most(MAX_FIELDS, fields, "fields")
    return ",".join(fields)


def _data(body: Any) -> list[Record]:
    if body is None:
        return []
    found = body.get("data") if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise unreadable("data")
    return found


def _info(body: Any) -> dict[str, Any]:
    found = body.get("info")
    return found if isinstance(found, dict) else {}


def _next_token(body: Any) -> str:
    info = _info(body)
    token = info.get("next_page_token") if info.get("more_records") else None
    return str(token) if token else ""
