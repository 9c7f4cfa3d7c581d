"""The web server's entry point prepares a process before its first request."""

import subprocess
import sys


def test_urls_are_imported_before_the_first_request_and_the_collector_skips_them():
    report = (
        "import gc, sys; import memora_site.wsgi; "
        "print('players.views' in sys.modules, gc.get_freeze_count() > 100_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-2:] == ["True", "True"]
