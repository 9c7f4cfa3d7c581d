"""A pytest plugin: a test's duration is without the fixtures that all tests share.

The creation of the database takes longer than any test. Otherwise ``--durations``, and
with it tests/slow_tests.txt, names the tests that happen to be the first of a worker.
"""

import time
from collections.abc import Generator

import pytest


class OwnDurations:
    def __init__(self) -> None:
        self._shared = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef) -> Generator:
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            if fixturedef.scope == "session":
                self._shared += time.perf_counter() - began

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo) -> Generator:
        report = yield
        if call.when == "setup":
            report.duration -= self._shared
            self._shared = 0.0
        return report
