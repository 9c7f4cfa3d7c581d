"""The output of a command: a list that is printed as it is made."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from core.reporting_command import ReportingCommand


class Numbers(ReportingCommand):
    """Prints as many numbers as ``made`` has, and notes what was printed before each."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.before: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        self.answer_list("numbers", self._numbers(), lambda: {"total": self.count})

    def _numbers(self) -> Iterator[dict[str, Any]]:
        for number in range(self.count):
            self.before.append(self.stdout._out.getvalue())
            yield {"number": number}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_and_the_rest_are_one_json_object(count):
    out = StringIO()
    call_command(Numbers(count), "--json", stdout=out)
    numbers = [{"number": number} for number in range(count)]
    assert json.loads(out.getvalue()) == {"numbers": numbers, "total": count}


def test_an_item_is_printed_before_the_next_one_is_made():
    command = Numbers(3)
    call_command(command, "--json", stdout=StringIO())
    assert [said.count('number"') for said in command.before] == [0, 1, 2]


def test_without_json_the_items_are_made_but_not_printed():
    command, out = Numbers(3), StringIO()
    call_command(command, stdout=out)
    assert (len(command.before), out.getvalue()) == (3, "")
