"""Commands answer in the language of the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memora_site.terminal import terminal_language


@pytest.mark.parametrize(
    ("locale", "language"),
    [("ar_EG.UTF-8", "ar"), ("AR", "ar"), ("en_GB.UTF-8", "en"), ("C", "en")],
)
def test_it_is_that_of_the_locale(monkeypatch, locale: str, language: str):
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", locale)

    assert terminal_language() == language


@pytest.mark.parametrize(
    ("locale", "words"),
    [("ar_EG.UTF-8", "طباعة كائن JSON"), ("C.UTF-8", "print one JSON object")],
)
def test_a_command_answers_in_it(tmp_path, locale: str, words: str):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("LC_ALL", "LC_MESSAGES")
    }
    answer = subprocess.run(
        [sys.executable, "manage.py", "check_content", "--help"],
        cwd=Path(__file__).parents[2],
        env={**environment, "LANG": locale, "MEMORA_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert words in " ".join(answer.stdout.split())
