"""The web server's entry point prepares a process before its first request."""

import subprocess
import sys


def test_views_are_imported_before_the_first_request():
    report = "import sys, memora_site.wsgi; print('players.views' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "True"
