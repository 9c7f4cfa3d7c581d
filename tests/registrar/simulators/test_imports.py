"""A demo can start the simulators: they need neither Django nor pytest."""

import subprocess
import sys

import pytest
from django.conf import settings

MODULES = [
    "tests.registrar.simulators.moodle",
    "tests.registrar.simulators.zoho",
]


@pytest.mark.parametrize("module", MODULES)
def test_a_simulator_runs_without_django_and_pytest(module):
    check = (
        f"import sys, {module}; "
        "found = {'django', 'pytest'} & sys.modules.keys(); "
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=settings.BASE_DIR, check=True)
