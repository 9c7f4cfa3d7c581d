"""``manage.py replay_outbox``: do effects on Moodle and Zoho once more."""

from django.utils.translation import gettext as _

from registrar.management.replay_command import ReplayCommand
from registrar.models import Effect


class Command(ReplayCommand):
    help = _("Do effects on Moodle and Zoho again, with the values of now.")
    model = Effect
