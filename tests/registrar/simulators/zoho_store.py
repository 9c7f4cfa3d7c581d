"""The records of the simulated CRM: writes, unique fields, deletions, searches, COQL."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.registrar.simulators.zoho_schema import CHOICES, MODULES, UNIQUE

Record = dict[str, Any]

_CRITERION = re.compile(r"\((\w+):(equals|starts_with):((?:[^()\\]|\\.)*)\)")
_ESCAPED = re.compile(r"\\(.)")
_SELECT = re.compile(
    r"\s*select\s+(.+?)\s+from\s+(\w+)(?:\s+where\s+(.+?))?(?:\s+order\s+by\s+(.+?))?"
    r"(?:\s+limit\s+(?:(\d+)\s*,\s*)?(\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(
    r"\(*\s*([\w.]+)\s*(=|!=|>=|<=|>|<|in|is\s+not|is)\s*"
    r"('(?:[^'\\]|\\.)*'|\((?:[^()]*)\)|[\w.:+-]+)\s*\)*",
    re.IGNORECASE,
)
_TEXTS = re.compile(r"'((?:[^'\\]|\\.)*)'|([\w.:+-]+)")


class Refusal(Exception):
    """A row or a request that Zoho refuses."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code, self.details = code, details


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


class Store:
    """All records by module and id. Not thread-safe: the simulator has a lock."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Record]] = {name: {} for name in MODULES}
        self.deleted: dict[str, list[Record]] = {name: [] for name in MODULES}
        self.listeners: list[Callable[[str, str, str, list[str]], None]] = []
        """Called with module, id, operation and affected fields after each change."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._indexed: dict[str, dict[str, Record]] | None = None
        self._last_id = 5_000_000_000_000_000

    # --- Writes -----------------------------------------------------------------------

    def insert(self, module: str, values: Record) -> Record:
        self._check(module, values, "")
        self._last_id += 1
        moment = stamp(self.now())
        record: Record = dict.fromkeys(MODULES[module])
        record |= {"id": str(self._last_id), "Created_Time": moment}
        record["Owner"] = {"name": "Owner", "id": "1001", "email": "owner@example.org"}
        self.records[module][record["id"]] = record
        self._set(module, record, values)
        self._tell(module, record["id"], "insert", list(values))
        return record

    def update(self, module: str, record_id: str, values: Record) -> Record:
        record = self.records[module].get(record_id)
        if record is None:
            raise Refusal("INVALID_DATA", api_name="id")
        values = {name: value for name, value in values.items() if name != "id"}
        self._check(module, values, record_id)
        self._set(module, record, values)
        self._tell(module, record_id, "update", list(values))
        return record

    def delete(self, module: str, record_id: str) -> None:
        record = self.records[module].pop(record_id, None)
        if record is None:
            raise Refusal("INVALID_DATA", api_name="id")
        row = {"id": record_id, "type": "recycle", "display_name": record["Name"]}
        row["deleted_time"] = stamp(self.now())
        self.deleted[module].append(row)
        self._tell(module, record_id, "delete", [])

    def same(self, module: str, field: str, value: Any) -> Record | None:
        """The record with this value in ``field``."""
        return next(
            (
                record
                for record in self.records[module].values()
                if value is not None and record.get(field) == value
            ),
            None,
        )

    def _check(self, module: str, values: Record, record_id: str) -> None:
        for name, value in values.items():
            if name not in MODULES[module]:
                continue  # Zoho ignores fields that it does not have
            self._check_value(name, MODULES[module][name], value)
            if name in UNIQUE.get(module, ()):
                other = self.same(module, name, value)
                if other is not None and other["id"] != record_id:
                    raise Refusal(
                        "DUPLICATE_DATA",
                        api_name=name,
                        duplicate_record={
                            "id": other["id"],
                            "module": {"api_name": module},
                        },
                    )

    def _check_value(self, name: str, kind: str, value: Any) -> None:
        kind, _, target = kind.partition(":")
        if value is None:
            return
        if kind == "lookup":
            found = value.get("id") if isinstance(value, dict) else None
            if found not in self.records[target]:
                raise Refusal("INVALID_DATA", api_name=name)
        if kind == "date" and not re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)):
            raise Refusal("INVALID_DATA", api_name=name, expected_data_type="date")
        if kind in ("text", "textarea") and not isinstance(value, str):
            raise Refusal("INVALID_DATA", api_name=name, expected_data_type="text")
        if kind == "picklist" and name in CHOICES and value not in CHOICES[name]:
            raise Refusal("INVALID_DATA", api_name=name)

    def _set(self, module: str, record: Record, values: Record) -> None:
        for name, value in values.items():
            kind, _, target = MODULES[module].get(name, "").partition(":")
            if kind == "lookup" and value:
                other = self.records[target][str(value["id"])]
                record[name] = {"name": other["Name"] or "", "id": other["id"]}
            elif kind == "subform":
                record[name] = self._subform(record[name] or [], value or [])
            elif kind == "multiselectlookup" and value:
                record[name] = [self._link(name, target, row) for row in value]
            elif kind:
                record[name] = value
        record["Modified_Time"] = stamp(self.now())

    def _subform(self, held: list[Record], rows: list[Record]) -> list[Record]:
        """Rows with an id change or end, others are added; an empty list empties it."""
        if not rows:
            return []
        found = {row["id"]: row for row in held}
        for row in rows:
            if "id" not in row:
                self._last_id += 1
                found[str(self._last_id)] = {**row, "id": str(self._last_id)}
            elif row["id"] not in found:
                raise Refusal("INVALID_DATA", api_name="id")
            elif "_delete" in row:
                del found[row["id"]]
            else:
                found[row["id"]] = {**found[row["id"]], **row}
        return list(found.values())

    def _link(self, name: str, target: str, row: Any) -> Record:
        other = self.records[target].get(str((row.get(name) or {}).get("id")))
        if other is None:
            raise Refusal("INVALID_DATA", api_name=name)
        self._last_id += 1
        link = {"name": other["Name"] or "", "id": other["id"]}
        return {"id": str(self._last_id), name: link}

    def _tell(self, module: str, record_id: str, what: str, fields: list[str]) -> None:
        for listener in self.listeners:
            listener(module, record_id, what, fields)

    # --- Searches ---------------------------------------------------------------------

    def freeze_index(self) -> None:
        """Let searches find what was written until now, and nothing later."""
        self._indexed = {
            module: {key: dict(record) for key, record in records.items()}
            for module, records in self.records.items()
        }

    def search(self, module: str, criteria: str) -> list[Record]:
        searched = self.records if self._indexed is None else self._indexed
        found = _CRITERION.findall(criteria)
        if not found:
            raise Refusal("INVALID_QUERY", reason="invalid criteria")
        if any(name != "id" and name not in MODULES[module] for name, *_ in found):
            raise Refusal("INVALID_QUERY", reason="unknown field")
        anded = ")or(" not in criteria.lower()
        test = all if anded else any
        return [
            record
            for record in searched.get(module, {}).values()
            if test(
                _matches(record.get(name), how, _ESCAPED.sub(r"\1", value))
                for name, how, value in found
            )
        ]

    def query(self, select: str) -> tuple[list[Record], bool]:
        """Run a COQL query; return the rows and whether there are more."""
        parts = _SELECT.fullmatch(select)
        if parts is None or parts[2] not in MODULES:
            raise Refusal("INVALID_QUERY", reason="syntax error")
        names = [name.strip() for name in parts[1].split(",")]
        module = parts[2]
        known = {"id", *MODULES[module]}
        if any(name.partition(".")[0] not in known for name in names):
            raise Refusal("INVALID_QUERY", reason="column")
        rows = list(self.records[module].values())
        for condition in _conditions(parts[3]):
            if condition[0].partition(".")[0] not in known:
                raise Refusal("INVALID_QUERY", reason="column")
            rows = [row for row in rows if _holds(row, *condition)]
        if parts[4]:
            field, _, direction = parts[4].strip().partition(" ")
            rows.sort(key=lambda row: str(row.get(field) or ""))
            if direction.strip().lower() == "desc":
                rows.reverse()
        start, most = int(parts[5] or 0), int(parts[6] or 200)
        if most > 2000:
            raise Refusal("LIMIT_EXCEEDED")
        found = rows[start : start + most]
        return (
            [{"id": row["id"], **{n: _column(row, n) for n in names}} for row in found],
            len(rows) > start + most,
        )

    def deleted_since(self, module: str, since: datetime | None) -> list[Record]:
        return [
            row
            for row in self.deleted[module]
            if since is None or datetime.fromisoformat(row["deleted_time"]) >= since
        ]

    def modified_since(self, module: str, since: datetime | None) -> list[Record]:
        rows = sorted(
            self.records[module].values(),
            key=lambda row: (row["Modified_Time"], row["id"]),
        )
        if since is None:
            return rows
        # Zoho keeps whole seconds.
        since -= timedelta(microseconds=since.microsecond)
        return [
            row for row in rows if datetime.fromisoformat(row["Modified_Time"]) >= since
        ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("id", ""))
    return "" if value is None else str(value)


def _matches(value: Any, how: str, wanted: str) -> bool:
    text = _text(value).lower()
    return (
        text == wanted.lower() if how == "equals" else text.startswith(wanted.lower())
    )


def _conditions(where: str | None) -> Iterator[tuple[str, str, list[str]]]:
    if not where:
        return
    pieces = re.split(r"\s+and\s+", where, flags=re.IGNORECASE)
    for piece in pieces:
        found = _CONDITION.fullmatch(piece.strip())
        if found is None:
            raise Refusal("INVALID_QUERY", reason="syntax error")
        texts = [
            _ESCAPED.sub(r"\1", quoted) if quoted or not bare else bare
            for quoted, bare in _TEXTS.findall(found[3])
        ]
        yield found[1], " ".join(found[2].lower().split()), texts


def _holds(row: Record, name: str, how: str, wanted: list[str]) -> bool:
    value = _text(_column(row, name))
    if how == "is":
        return value == ""
    if how == "is not":
        return value != ""
    if how == "in":
        return value in wanted
    if how in ("=", "!="):
        return (value == wanted[0]) == (how == "=")
    left, right = _ordered(value), _ordered(wanted[0])
    return {"<": left < right, "<=": left <= right, ">": left > right}.get(
        how, left >= right
    )


def _ordered(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except ValueError:
        return text


def _column(row: Record, name: str) -> Any:
    field, _, below = name.partition(".")
    value = row.get(field)
    return value.get(below) if below and isinstance(value, dict) else value
