"""The Arabic catalogue is complete, and the compiled file matches the source."""

import gettext
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.urls import reverse
from django.utils import translation
from translate.storage import pypo

LOCALE = Path(settings.LOCALE_PATHS[0]) / "ar" / "LC_MESSAGES"
CATALOGUES = ["django", "djangojs"]
PLACEHOLDER = re.compile(r"%\((\w+)\)|(%[sd])")


def entries(name):
    found = pypo.pofile.parsefile(str(LOCALE / f"{name}.po"))
    return [unit for unit in found.units if str(unit.source)]


@pytest.mark.parametrize("name", CATALOGUES)
def test_nothing_is_left_untranslated_or_guessed(name):
    unfinished = [
        str(unit.source)
        for unit in entries(name)
        if not unit.istranslated() or unit.isfuzzy() or unit.isobsolete()
    ]
    assert unfinished == []


def test_every_plural_has_arabics_six_forms():
    for unit in entries("django"):
        if unit.hasplural():
            assert len(unit.target.strings) == 6, str(unit.source)
            assert all(unit.target.strings), str(unit.source)


@pytest.mark.parametrize("name", CATALOGUES)
def test_translations_use_the_placeholders_of_their_source(name):
    for unit in entries(name):
        if not unit.hasplural():
            expected = sorted(PLACEHOLDER.findall(str(unit.source)))
            assert sorted(PLACEHOLDER.findall(str(unit.target))) == expected, (
                unit.source
            )


@pytest.mark.parametrize("name", CATALOGUES)
def test_the_compiled_catalogue_is_the_written_one(name):
    with (LOCALE / f"{name}.mo").open("rb") as compiled:
        catalogue = gettext.GNUTranslations(compiled)
    for unit in entries(name):
        source = str(unit.source)
        if unit.hasplural():
            ask = catalogue.ngettext
            if context := unit.getcontext():
                ask = partial(catalogue.npgettext, context)
            expected = [ask(source, source, n) for n in (0, 1, 2, 3, 11, 100)]
            assert expected == list(unit.target.strings), source
        elif context := unit.getcontext():
            assert catalogue.pgettext(context, source) == str(unit.target)
        else:
            assert catalogue.gettext(source) == str(unit.target)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "بلا دروس"),
        (1, "درس واحد"),
        (2, "درسان"),
        (3, "3 دروس"),
        (11, "11 درسًا"),
        (100, "100 درس"),
    ],
)
def test_counts_are_said_as_arabic_says_them(count, expected):
    with translation.override("ar"):
        words = translation.ngettext("%(count)d lesson", "%(count)d lessons", count)
    assert words % {"count": count} == expected


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (-1, "منذ دقيقة"),
        (-2, "منذ دقيقتين"),
        (-9, "منذ 9 دقائق"),
        (-11, "منذ 11 دقيقة"),
        (1, "بعد دقيقة"),
        (4, "بعد 4 دقائق"),
        (-2 * 24 * 60, "منذ يومين"),
    ],
)
def test_moments_are_said_as_arabic_says_them(minutes, expected):
    now = datetime.now(UTC)
    # 30 s away from the next unit, so that a slow test gets the same words.
    when = now + timedelta(minutes=minutes, seconds=30 if minutes > 0 else -30)
    with translation.override("ar"):
        assert naturaltime(when).replace("\xa0", " ") == expected


@pytest.mark.django_db
def test_what_libraries_say_in_the_admin_is_arabic_too(browser, maths):
    browser.cookies["django_language"] = "ar"
    page = browser.get(reverse("admin:content_node_changelist")).content.decode()
    assert "Collapse tree" not in page
    catalogue = browser.get(reverse("admin:jsi18n")).content.decode()
    assert '"Wednesday": "\\u0627\\u0644\\u0623' in catalogue
