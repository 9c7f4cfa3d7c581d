"""Every management command of Memora has help texts."""

import pytest
from django.core.management import get_commands, load_command_class

OURS = {"content", "plans", "publishing", "players", "progress", "memora_site"}


@pytest.mark.parametrize(
    "name", sorted(name for name, app in get_commands().items() if app in OURS)
)
def test_help_is_printed(name, capsys):
    command = load_command_class(get_commands()[name], name)
    command.print_help("manage.py", name)
    assert command.help in " ".join(capsys.readouterr().out.split())
