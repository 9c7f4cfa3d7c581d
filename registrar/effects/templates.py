"""Templates in Moodle for grading by a unit's criteria (D9).

Where the plugin has the BTEC form, it saves the definition. Else it is a shared rubric,
which teachers copy into assignments. Both are saved under the unit's Zoho id, so a
repeated publication changes the one definition.
"""

from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _, override

from registrar.effects import pushing
from registrar.effects.site import Site
from registrar.mapping.locked_names import CRITERIA
from registrar.mapping.modules import digest
from registrar.models import Effect, Unit
from registrar.moodle import mzi, rubrics
from registrar.moodle.mzi import BtecCriterion
from registrar.moodle.rubrics import Criterion, Level

_MAX_NAME = 255
"""Characters of a definition's name in Moodle."""
_BTEC_LEVELS = {"P": 1, "M": 2, "D": 3}


def push_template(effect: Effect, site: Site) -> str:
    """Publish the template of a unit, unless Moodle has it as it is.

    A unit that was deleted, or has no criteria, leaves the template as it is: teachers
    may grade with it.
    """
    row: Unit | None = pushing.row_of(effect)
    if row is None:
        return _("There is no such record any more.")
    done = _published(row, site)
    pushing.mark_pushed(effect)
    return done


def _published(row: Unit, site: Site) -> str:
    if row.deleted_at is not None:
        return _("The unit was deleted in Zoho. A template in Moodle stays.")
    if not row.criteria:
        return _("The unit has no criteria in Zoho (P1_description, …).")
    is_btec = mzi.offers_btec_form(site.moodle)
    if not is_btec and not rubrics.offers_saving(site.moodle):
        return _(
            "Moodle offers no function for templates. Add core_grading_save_definitions "
            "to the web service, and synchronise again."
        )
    content = _digest(row, is_btec=is_btec)
    if row.template_hash == content:
        return _("The template is up to date.")
    # Until the hash is stored, it is unknown which criteria Moodle has.
    _remember(row, content="", at=row.template_synced_at)
    if is_btec:
        _save_btec(row, site)
    else:
        _save_rubric(row, site)
    _remember(row, content=content, at=timezone.now())
    if is_btec:
        return _("The template is published as a BTEC form.")
    return _("The template is published as a shared rubric.")


def _save_btec(row: Unit, site: Site) -> None:
    criteria = [
        BtecCriterion(short_name=name, description=text, level=_BTEC_LEVELS[name[0]])
        for name, text in _criteria(row)
    ]
    mzi.save_btec_definition(
        site.moodle, unit_id=row.zoho_id, name=_name(row), criteria=criteria
    )


def _save_rubric(row: Unit, site: Site) -> None:
    not_achieved, achieved = _level_names()
    levels = (Level(0.0, not_achieved), Level(1.0, achieved))
    rubrics.save_shared(
        site.moodle,
        # Moodle accepts lower-case letters and digits.
        key=f"unit{row.zoho_id.lower()}",
        name=_name(row),
        criteria=[
            # The rubric's criteria are recognised by their first word.
            Criterion(f"{name} {text}", levels)
            for name, text in _criteria(row)
        ],
    )


def _digest(row: Unit, *, is_btec: bool) -> str:
    return digest(
        {
            "form": "btec" if is_btec else "rubric",
            "name": _name(row),
            "criteria": _criteria(row),
            "levels": [] if is_btec else _level_names(),
        }
    )


def _criteria(row: Unit) -> list[tuple[str, str]]:
    """Return the criteria in order: pass, merit, distinction."""
    return [(name, row.criteria[name]) for name in CRITERIA if name in row.criteria]


def _name(row: Unit) -> str:
    return f"{row.code} {row.name}".strip()[:_MAX_NAME] or row.zoho_id


def _level_names() -> tuple[str, str]:
    # In the site's language, whichever language is active: they are part of the digest.
    with override(settings.LANGUAGE_CODE):
        return _("Not achieved"), _("Achieved")


def _remember(row: Unit, *, content: str, at: datetime | None) -> None:
    Unit.objects.filter(pk=row.pk).update(template_hash=content, template_synced_at=at)
