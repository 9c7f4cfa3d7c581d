"""The staff API for students: creating, enrolling, giving products; one or many."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request

from core import idempotency
from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import FieldFaults, InvalidBodyError, parse
from core.errors import MemoraError
from players import api_types, staff_api_types as types
from players.permissions import CHANGE_ACCESS, WRITE_STUDENTS
from players.services import access_writes, bulk_access, staff_writes
from players.services.access_writes import Change, Changed, Student
from players.services.student_import import REFUSED
from players.services.student_sheet import Row
from players.staff_api_types import Result
from players.views import StaffViewSet, once


class StaffPlayersViewSet(StaffViewSet):
    """Students of a school."""

    staff_permissions: ClassVar[Mapping[str, str | tuple[str, ...]]] = {
        "create": WRITE_STUDENTS,
        "bulk": WRITE_STUDENTS,
        "access": CHANGE_ACCESS,
        "access_bulk": CHANGE_ACCESS,
    }

    @describe(
        Operation(
            id="staff_create_player",
            tag="staff",
            summary=gettext_lazy("Create a student"),
            description=gettext_lazy(
                "Create a student with groups, plans and products. A student with the "
                "same school number or e-mail is not changed: 409."
            ),
            parameters=(idempotency.IDEMPOTENCY_KEY,),
            body=types.NewPlayerBody,
            answer=types.NewPlayer,
            status=status.HTTP_201_CREATED,
            errors=("PLAYER_EXISTS", "IDEMPOTENCY_CONFLICT"),
        )
    )
    @once
    def create(self, request: Request) -> ApiResponse:
        body = parse(types.NewPlayerBody, request.data)
        player_id, password = staff_writes.create(
            _row(0, body.player), with_password=body.generate_password
        )
        return ApiResponse(
            types.NewPlayer(player_id, password), status.HTTP_201_CREATED
        )

    @describe(
        Operation(
            id="staff_write_players",
            tag="staff",
            summary=gettext_lazy("Create and change many students"),
            description=gettext_lazy(
                "Create the students that do not exist, and change the others: like the "
                "import of a spreadsheet, empty values change nothing, and plans, "
                "products and groups are added. A repeat changes nothing. A rejected "
                "element does not affect the others; a body that does not fit the "
                "schema is refused as a whole."
            ),
            parameters=(idempotency.IDEMPOTENCY_KEY,),
            body=types.PlayersBody,
            answer=types.PlayerResults,
            errors=("IDEMPOTENCY_CONFLICT",),
        )
    )
    @action(detail=False, methods=["post"])
    @once
    def bulk(self, request: Request) -> ApiResponse:
        body = parse(types.PlayersBody, request.data)
        rows = [_row(index, student) for index, student in enumerate(body.players)]
        written = staff_writes.write_many(
            rows, is_dry_run=body.dry_run, with_passwords=body.generate_passwords
        )
        return ApiResponse(
            types.PlayerResults(
                [
                    types.PlayerResult(
                        index=one.row,
                        result=Result.REJECTED
                        if one.kind == REFUSED
                        else Result(one.kind),
                        player_id=one.player.pk if one.player else None,
                        password=written.passwords.get(one.row),
                        error=_error(staff_writes.refusal_of(one))
                        if one.kind == REFUSED
                        else None,
                    )
                    for one in written.outcomes
                ]
            )
        )

    @describe(
        Operation(
            id="staff_change_access",
            tag="staff",
            summary=gettext_lazy("Change a student's plans and products"),
            description=gettext_lazy(
                "Enrol a student in plans or take them out, give or take products. It "
                "is all done or nothing. A repeat changes nothing."
            ),
            parameters=(api_types.PLAYER_KEY, idempotency.IDEMPOTENCY_KEY),
            body=types.AccessBody,
            answer=types.AccessChanged,
            errors=("NOT_FOUND", "IDEMPOTENCY_CONFLICT"),
        )
    )
    @action(detail=True, methods=["post"])
    @once
    def access(self, request: Request, pk: str) -> ApiResponse:
        body = parse(types.AccessBody, request.data)
        (done,) = access_writes.apply([_change(Student(player_id=int(pk)), body)])
        if done.refusal is not None:
            raise done.refusal
        return ApiResponse(types.AccessChanged(_result(done)))

    @describe(
        Operation(
            id="staff_change_access_of_many",
            tag="staff",
            summary=gettext_lazy("Change the plans and products of many students"),
            description=gettext_lazy(
                "The same for many students, one element each. A rejected element does "
                "not affect the others; a body that does not fit the schema is refused "
                "as a whole."
            ),
            parameters=(idempotency.IDEMPOTENCY_KEY,),
            body=types.AccessChangesBody,
            answer=types.AccessResults,
            errors=("IDEMPOTENCY_CONFLICT",),
        )
    )
    @action(detail=False, methods=["post"], url_path="access", url_name="access-bulk")
    @once
    def access_bulk(self, request: Request) -> ApiResponse:
        body = parse(types.AccessChangesBody, request.data)
        changes = [
            _change(
                Student(
                    one.player.player_id,
                    one.player.school_number,
                    one.player.email,
                ),
                one.change,
            )
            for one in body.changes
        ]
        done = access_writes.apply(changes, is_dry_run=body.dry_run)
        return ApiResponse(
            types.AccessResults(
                [
                    types.AccessResult(
                        index=index,
                        result=_result(one),
                        player_id=one.player_id,
                        error=_error(one.refusal) if one.refusal else None,
                    )
                    for index, one in enumerate(done)
                ]
            )
        )


def _row(index: int, student: types.PlayerBody) -> Row:
    values = {
        "school_number": student.school_number,
        "email": student.email,
        "full_name": student.name,
        "phone": student.phone,
        "grade": student.grade,
    }
    values = {name: text.strip() for name, text in values.items()}
    ends = _ends(student.products)
    return Row(
        index,
        values={name: text for name, text in values.items() if text},
        lists={
            "groups": _texts(student.groups),
            "plans": _texts(student.plans),
            "products": list(ends),
        },
        ends=ends,
    )


def _texts(given: Sequence[str] | None) -> list[str]:
    return list(dict.fromkeys(text.strip() for text in given or ()))


def _ends(grants: Sequence[types.GrantBody] | None) -> dict[str, Any]:
    """Return the end of each product; of two ends the later one."""
    ends: dict[str, Any] = {}
    for grant in grants or ():
        code, until = grant.code.strip(), grant.valid_until
        if code not in ends or bulk_access.is_later(until, ends[code]):
            ends[code] = until
    return ends


def _change(student: Student, body: types.AccessBody) -> Change:
    return Change(
        student,
        enroll=_texts(body.enroll),
        unenroll=_texts(body.unenroll),
        grant=_ends(body.grant),
        revoke=_texts(body.revoke),
    )


def _result(done: Changed) -> Result:
    if done.refusal is not None:
        return Result.REJECTED
    return Result.UPDATED if done.is_change else Result.UNCHANGED


def _error(refusal: MemoraError) -> types.ElementError:
    is_invalid = isinstance(refusal, InvalidBodyError)
    return types.ElementError(
        error_code=refusal.code,
        message=refusal.message,
        details=FieldFaults(refusal.details["fields"]) if is_invalid else None,
    )
