"""Registries of what other apps add."""

import pytest

from core.hooks import Hook, Registry


def test_functions_are_called_in_the_order_of_their_addition():
    warnings: Hook[[int], str] = Hook()

    @warnings.add
    def first(count: int) -> str:
        return f"{count} lessons"

    @warnings.add
    def second(count: int) -> str:
        return f"{count} students"

    assert warnings(3) == ["3 lessons", "3 students"]


def test_empty_results_are_left_out():
    warnings: Hook[[], str] = Hook()
    warnings.add(lambda: "")
    warnings.add(lambda: "gone for good")
    assert warnings() == ["gone for good"]


def test_adding_an_entry_again_changes_nothing():
    names: Registry[str] = Registry()
    names.add("progress")
    names.add("progress")
    assert list(names) == ["progress"]


def test_a_single_registry_refuses_another_entry():
    ledger: Registry[str] = Registry(single=True)
    ledger.add("progress")
    ledger.add("progress")
    with pytest.raises(ValueError, match="'other' cannot replace 'progress'"):
        ledger.add("other")
    assert ledger.only == "progress"


def test_an_empty_registry_names_the_likely_reason():
    ledger: Registry[str] = Registry(single=True)
    with pytest.raises(LookupError, match="INSTALLED_APPS"):
        ledger.only  # noqa: B018 - the property raises
