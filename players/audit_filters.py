"""Filters of the list of security events: staff member, student, period."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib.admin import ListFilter, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.functional import Promise
from django.utils.translation import gettext as _, gettext_lazy, pgettext_lazy

from core.parsing import whole_number
from core.searching import has_words
from players.models import User

_NOBODY = "none"
_MOST_KEYS = 5_000


class StaffFilter(SimpleListFilter):
    """The member of staff who acted; also the events that nobody of the staff caused."""

    title = gettext_lazy("staff member")
    parameter_name = "staff"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        staff = User.objects.filter(is_staff=True).order_by("full_name", "email")
        names = [(str(user.pk), user.get_full_name()) for user in staff]
        return [(_NOBODY, _("no member of staff")), *names]

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        if self.value() == _NOBODY:
            return queryset.filter(actor=None)
        key = whole_number(self.value() or "")
        return None if key is None else queryset.filter(actor=key)


class InputFilter(ListFilter):
    """A filter with text inputs instead of links."""

    template = "admin/players/input_filter.html"
    inputs: tuple[tuple[str, str, Promise], ...] = ()
    """Each input's parameter, HTML type and label."""

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, admin: Any
    ) -> None:
        super().__init__(request, params, model, admin)
        self.values = {
            name: str(params.pop(name)[-1]).strip()
            for name, _kind, _label in self.inputs
            if name in params
        }

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [name for name, _kind, _label in self.inputs]

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """Yield what the template needs: the inputs, and the other filters to keep."""
        own = {*self.expected_parameters(), "p"}
        kept = [
            (name, value)
            for name, values in changelist.filter_params.items()
            for value in values
            if name not in own
        ]
        if changelist.query:
            kept.append(("q", changelist.query))
        yield {
            "kept": kept,
            "is_used": any(self.values.values()),
            "clear": changelist.get_query_string(remove=self.expected_parameters()),
            "inputs": [
                {
                    "name": name,
                    "type": kind,
                    "label": label,
                    "value": self.values.get(name, ""),
                }
                for name, kind, label in self.inputs
            ],
        }


def about_accounts(words: str, accounts: QuerySet[User]) -> Q:
    """Return a condition for the events about those accounts that have these words.

    One query: with the keys of a few accounts the database finds their events by an
    index, while a join may read every event. A player number is a word, too.
    """
    found = has_words(words, folded="full_name_folded", exact=("email",))
    number = whole_number(words)
    if number is not None:
        found |= Q(player=number)
    keys = accounts.filter(found).order_by().values("pk")
    few = list(keys.values_list("pk", flat=True)[: _MOST_KEYS + 1])
    return Q(user__in=keys if len(few) > _MOST_KEYS else few)


class StudentFilter(InputFilter):
    """The events about one student: by name, e-mail address or number."""

    title = gettext_lazy("student")
    inputs = (("student", "search", gettext_lazy("Name, e-mail or player number")),)

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        words = self.values.get("student", "")
        if not words:
            return None
        students = User.objects.filter(player__isnull=False)
        return queryset.filter(about_accounts(words, students))


class PeriodFilter(InputFilter):
    """The events from one day to another; both days are included."""

    title = gettext_lazy("period")
    inputs = (
        ("from", "date", pgettext_lazy("a day", "From")),
        ("until", "date", pgettext_lazy("a day", "Until")),
    )

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        first, last = self._day("from"), self._day("until")
        if first is not None:
            queryset = queryset.filter(created_at__gte=_start_of(first))
        if last is not None:
            following = last + timedelta(days=1)
            queryset = queryset.filter(created_at__lt=_start_of(following))
        return queryset

    def _day(self, name: str) -> date | None:
        """Return the day; None for a text that is no day between 1900 and 9000."""
        try:
            day = parse_date(self.values.get(name, ""))
        except ValueError:
            return None
        return day if day is not None and 1900 <= day.year <= 9000 else None


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
