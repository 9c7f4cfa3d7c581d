"""What the demo command decides before it starts anything."""

import socket

import pytest
from django.core.management import CommandError

from memora_site.management.commands import demo


@pytest.mark.parametrize(
    ("locale", "language"),
    [("ar_EG.UTF-8", "ar"), ("AR", "ar"), ("en_GB.UTF-8", "en"), ("C", "en")],
)
def test_it_speaks_the_terminals_language(monkeypatch, locale: str, language: str):
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", locale)

    assert demo._terminal_language() == language


def test_a_taken_port_is_replaced_by_a_free_one():
    with socket.socket() as taken:
        taken.bind((demo.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert demo._usable_port(port) not in (port, 0)


def test_a_port_that_is_none_is_replaced_by_a_free_one():
    assert 0 < demo._usable_port(99999) < 65536


def test_a_second_demo_on_the_same_state_is_refused(settings, tmp_path):
    settings.STATE_DIR = tmp_path

    with (
        demo._only_demo(),
        pytest.raises(CommandError, match="Another demo runs"),
        demo._only_demo(),
    ):
        pass

    with demo._only_demo():
        pass
