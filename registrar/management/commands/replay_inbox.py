"""``manage.py replay_inbox``: read records that were announced earlier once more."""

from django.utils.translation import gettext as _

from registrar.management.replay_command import ReplayCommand
from registrar.models import Hint


class Command(ReplayCommand):
    help = _("Process records of the inbox again, as Zoho has them now.")
    model = Hint
