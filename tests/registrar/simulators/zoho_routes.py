"""The calls of API version 8 that the simulated CRM answers."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.registrar.simulators import zoho_schema
from tests.registrar.simulators.server import Request, Response
from tests.registrar.simulators.zoho_store import Record, Refusal, stamp

if TYPE_CHECKING:
    from tests.registrar.simulators.zoho import ZohoSimulator

ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = []


def route(methods: str, pattern: str) -> Callable[[Any], Any]:
    def add(function: Callable[..., Response]) -> Callable[..., Response]:
        compiled = re.compile(f"/crm/v8/{pattern}")
        ROUTES.extend((method, compiled, function) for method in methods.split())
        return function

    return add


def error(status: int, code: str, details: Any = None) -> Response:
    message = code.lower().replace("_", " ")
    return Response(
        {"code": code, "details": details or {}, "message": message, "status": "error"},
        status,
    )


def _success(code: str = "SUCCESS", **details: Any) -> dict[str, Any]:
    return {"code": code, "details": details, "message": "ok", "status": "success"}


def _since(request: Request) -> datetime | None:
    text = request.headers.get("If-Modified-Since")
    return datetime.fromisoformat(text) if text else None


def _fields(request: Request) -> list[str]:
    names = [name for name in request.query.get("fields", "").split(",") if name]
    if not names:
        raise Refusal("REQUIRED_PARAM_MISSING", param_name="fields")
    if len(names) > 50:
        raise Refusal("LIMIT_EXCEEDED", limit=50)
    return names


def _only(record: Record, names: list[str]) -> Record:
    return {"id": record["id"], **{n: record[n] for n in names if n in record}}


def _module(name: str) -> str:
    if name not in zoho_schema.MODULES:
        raise Refusal("INVALID_MODULE")
    return name


def _page(
    simulator: "ZohoSimulator", request: Request, rows: list[Record]
) -> tuple[list[Record], dict[str, Any]]:
    size = int(request.query.get("per_page", 200))
    if size > 200:
        raise Refusal("INVALID_DATA", param_name="per_page")
    token = request.query.get("page_token", "")
    page = int(token.removeprefix("page-") if token else request.query.get("page", 1))
    if not token and page > 10:
        raise Refusal("DISCRETE_PAGINATION_LIMIT_EXCEEDED")
    start = (page - 1) * size
    more = len(rows) > start + size
    info = {"per_page": size, "count": len(rows[start : start + size]), "page": page}
    info |= {
        "more_records": more,
        "next_page_token": f"page-{page + 1}" if more else None,
    }
    if simulator.repeats_rows and start:
        start -= 1
    return rows[start : page * size], info


# --- Metadata -------------------------------------------------------------------------


@route("GET", "org")
def organisation(_simulator: "ZohoSimulator", _request: Request) -> Response:
    return Response({"org": [{"id": "1", "company_name": "Simulated School"}]})


@route("GET", "settings/modules")
def modules(_simulator: "ZohoSimulator", _request: Request) -> Response:
    return Response({"modules": zoho_schema.module_rows()})


@route("GET", r"settings/modules/(\w+)")
def module(_simulator: "ZohoSimulator", _request: Request, name: str) -> Response:
    rows = zoho_schema.module_rows()
    found = [row for row in rows if name in (row["api_name"], row["id"])]
    return Response({"modules": found}) if found else error(400, "INVALID_MODULE")


@route("GET", "settings/fields")
def fields(_simulator: "ZohoSimulator", request: Request) -> Response:
    name = _module(request.query.get("module", ""))
    return Response({"fields": zoho_schema.field_rows(name)})


@route("GET", "settings/related_lists")
def related_lists(_simulator: "ZohoSimulator", request: Request) -> Response:
    found = zoho_schema.RELATED.get(request.query.get("module", ""), {})
    rows = [
        {"id": str(at), "api_name": name, "name": name, "href": f"{name}"}
        | {"module": {"api_name": target, "id": str(at)}, "type": "custom_lookup"}
        for at, (name, (target, _)) in enumerate(found.items(), start=7000)
    ]
    return Response({"related_lists": rows}) if rows else Response(status=204)


# --- Files and notifications ----------------------------------------------------------


@route("POST", "files")
def upload(simulator: "ZohoSimulator", request: Request) -> Response:
    (file,) = request.files.values()
    key = f"file{next(simulator.numbers)}"
    simulator.files[key] = file
    return Response({"data": [_success(id=key, name=file[0])]})


@route("POST PUT PATCH", "actions/watch")
def watch(simulator: "ZohoSimulator", request: Request) -> Response:
    results = []
    for row in request.json()["watch"]:
        key = str(row["channel_id"])
        known = key in simulator.channels
        expires = row.get("channel_expiry")
        if known == (request.method == "POST"):
            results.append(_row_error("INVALID_DATA", {"api_name": "channel_id"}))
            continue
        if (
            expires
            and (datetime.fromisoformat(expires) - simulator.store.now()).days >= 7
        ):
            results.append(_row_error("INVALID_DATA", {"api_name": "channel_expiry"}))
            continue
        channel = dict(simulator.channels.get(key, {})) | row | {"channel_id": key}
        channel.setdefault(
            "channel_expiry", stamp(simulator.store.now() + timedelta(hours=1))
        )
        simulator.channels[key] = channel
        events = [
            {"channel_id": key, "channel_expiry": channel["channel_expiry"]}
            | {"resource_name": event.partition(".")[0], "resource_id": "1"}
            | {"resource_uri": f"{simulator.url}/crm/v8/{event.partition('.')[0]}"}
            for event in channel["events"]
        ]
        results.append(_success(events=events))
    return Response({"watch": results})


def _row_error(code: str, details: Any) -> dict[str, Any]:
    return {"code": code, "details": details, "message": code, "status": "error"}


@route("GET", "actions/watch")
def watched(simulator: "ZohoSimulator", request: Request) -> Response:
    channel = simulator.channels.get(request.query.get("channel_id", ""))
    if channel is None:
        return Response(status=204)
    rows = [
        {
            "channel_id": channel["channel_id"],
            "resource_id": "1",
            "resource_name": event.partition(".")[0],
            "resource_uri": f"{simulator.url}/crm/v8/{event.partition('.')[0]}",
            "events": [event],
            "notify_url": channel["notify_url"],
            "channel_expiry": channel["channel_expiry"],
            "token": channel.get("token"),
        }
        for event in channel["events"]
    ]
    return Response(
        {"watch": rows, "info": {"count": len(rows), "more_records": False}}
    )


@route("DELETE", "actions/watch")
def unwatch(simulator: "ZohoSimulator", request: Request) -> Response:
    results = []
    for key in request.query.get("channel_ids", "").split(","):
        if simulator.channels.pop(key, None) is None:
            results.append(_row_error("INVALID_DATA", {"id": key}))
        else:
            results.append(_success(channel_id=key))
    return Response({"watch": results})


# --- Records --------------------------------------------------------------------------


@route("POST", "coql")
def coql(simulator: "ZohoSimulator", request: Request) -> Response:
    rows, more = simulator.store.query(request.json()["select_query"])
    if not rows:
        return Response(status=204)
    return Response({"data": rows, "info": {"count": len(rows), "more_records": more}})


@route("GET", r"(\w+)/search")
def search(simulator: "ZohoSimulator", request: Request, name: str) -> Response:
    rows = simulator.store.search(_module(name), request.query.get("criteria", ""))
    found, info = _page(simulator, request, rows)
    if not found:
        return Response(status=204)
    names = request.query.get("fields")
    data = [_only(row, names.split(",")) if names else row for row in found]
    return Response({"data": data, "info": info})


@route("GET", r"(\w+)/deleted")
def deleted(simulator: "ZohoSimulator", request: Request, name: str) -> Response:
    rows = simulator.store.deleted_since(_module(name), _since(request))
    found, info = _page(simulator, request, rows)
    return Response({"data": found, "info": info}) if found else Response(status=204)


@route("GET", r"(\w+)")
def listed(simulator: "ZohoSimulator", request: Request, name: str) -> Response:
    names = _fields(request)
    rows = simulator.store.modified_since(_module(name), _since(request))
    rows = [row for row in rows if row["id"] not in simulator.hidden]
    if ids := request.query.get("ids"):
        rows = [row for row in rows if row["id"] in ids.split(",")]
    if not rows:
        return Response(status=304 if _since(request) else 204)
    if request.query.get("sort_order", "desc") == "desc":
        rows.reverse()
    found, info = _page(simulator, request, rows)
    return Response({"data": [_only(row, names) for row in found], "info": info})


@route("POST PUT", r"(\w+)(/upsert)?")
def write(
    simulator: "ZohoSimulator", request: Request, name: str, upsert: str | None
) -> Response:
    body = request.json()
    rows = body.get("data")
    if not isinstance(rows, list) or not 1 <= len(rows) <= 100:
        raise Refusal("INVALID_DATA", api_name="data")
    by = body.get("duplicate_check_fields") or []
    results = [
        _write_row(
            simulator, _module(name), row, request.method, by if upsert else None
        )
        for row in rows
    ]
    states = {result["status"] for result in results}
    status = {1: 201 if request.method == "POST" else 200}.get(len(states), 207)
    return Response({"data": results}, 400 if states == {"error"} else status)


def _write_row(
    simulator: "ZohoSimulator",
    name: str,
    row: Record,
    method: str,
    by: list[str] | None,
) -> dict[str, Any]:
    store = simulator.store
    try:
        if code := simulator.row_fault(row):
            raise Refusal(code)
        action = "insert"
        if method == "PUT":
            found = store.update(name, str(row.get("id")), row)
        else:
            same = [
                s
                for field in by or ()
                if (s := store.same(name, field, row.get(field)))
            ]
            if same:
                found, action = store.update(name, same[0]["id"], row), "update"
            else:
                found = store.insert(name, row)
    except Refusal as refusal:
        return _row_error(refusal.code, refusal.details)
    result = _success(
        id=found["id"],
        Created_Time=found["Created_Time"],
        Modified_Time=found["Modified_Time"],
    )
    return result | (
        {"action": action, "duplicate_field": (by or [None])[0]} if by else {}
    )


@route("GET PUT DELETE", r"(\w+)/(\d+)")
def one(simulator: "ZohoSimulator", request: Request, name: str, key: str) -> Response:
    records = simulator.store.records[_module(name)]
    if request.method == "PUT":
        (row,) = request.json()["data"]
        result = _write_row(simulator, name, row | {"id": key}, "PUT", None)
        return Response(
            {"data": [result]}, 200 if result["status"] == "success" else 400
        )
    if request.method == "DELETE":
        simulator.store.delete(name, key)
        return Response({"data": [_success(id=key)]})
    return (
        Response({"data": [records[key]]}) if key in records else Response(status=204)
    )


@route("GET POST", r"(\w+)/(\d+)/Attachments")
def attachments(
    simulator: "ZohoSimulator", request: Request, name: str, key: str
) -> Response:
    if key not in simulator.store.records[_module(name)]:
        raise Refusal("INVALID_DATA", api_name="id")
    rows = simulator.attachments.setdefault(key, [])
    if request.method == "POST":
        ((file_name, kind, content),) = request.files.values()
        row = {"id": str(8000 + next(simulator.numbers)), "File_Name": file_name}
        rows.append(row | {"Size": str(len(content)), "content": content, "kind": kind})
        return Response({"data": [_success(id=row["id"])]})
    if not rows:
        return Response(status=204)
    data = [{n: row[n] for n in ("id", "File_Name", "Size")} for row in rows]
    return Response({"data": data, "info": {"count": len(rows), "more_records": False}})


@route("GET", r"(\w+)/(\d+)/Attachments/(\d+)")
def attachment(
    simulator: "ZohoSimulator", _request: Request, _name: str, key: str, file: str
) -> Response:
    for row in simulator.attachments.get(key, ()):
        if row["id"] == file:
            name = quote(row["File_Name"])
            disposition = f"attachment;filename*=UTF-8''{name}"
            return Response(
                row["content"], headers={"Content-Disposition": disposition}
            )
    return error(404, "INVALID_DATA")


@route("GET", r"(\w+)/(\d+)/(\w+)")
def related(
    simulator: "ZohoSimulator", request: Request, name: str, key: str, related_list: str
) -> Response:
    names = _fields(request)
    target = zoho_schema.RELATED.get(name, {}).get(related_list)
    if target is None:
        return error(400, "INVALID_DATA")
    rows = [
        _only(row, names)
        for row in simulator.store.records[target[0]].values()
        if (row.get(target[1]) or {}).get("id") == key
    ]
    found, info = _page(simulator, request, rows)
    return Response({"data": found, "info": info}) if found else Response(status=204)
