"""Folding, paths and structure: rules without a database."""

import pytest
from hypothesis import given, strategies as st

from core.folding import fold, visible_text
from publishing import published_content
from publishing.building import builds
from publishing.format import encoding, locations
from tests.factories.content import make_subject


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("الْكُسُورُ", "الكسور"),
        ("أحمد إبراهيم آدم", "احمد ابراهيم ادم"),
        ("مدرسة", "مدرسه"),
        ("مستشفى", "مستشفي"),
        ("مـــحمد", "محمد"),
        ("Élan  VITAL", "elan vital"),
        ("", ""),
    ],
)
def test_words_are_folded(text, folded):
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("code", [*range(0x06D6, 0x06EE), 0x2060, 0x034F])
def test_marks_within_a_word_do_not_count(code):
    assert fold(f"كتا{chr(code)}ب") == "كتاب"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("الصف ١", "الصف 1"),
        ("الصف ۱", "الصف 1"),
        ("رحمۃ", "رحمة"),
        ("رحمه", "رحمة"),
        ("کتاب", "كتاب"),
        ("ہندی", "هندي"),
        ("الصف\u00a0الأول", "الصف  الاول\u200f"),
        ("cafe\u0301", "CAFÉ"),
    ],
)
def test_spellings_that_searches_do_not_tell_apart(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("نعم ", "نعم"),
        ("نعم\u200f", "نعم"),
        ("\u2060ن\u034fعم\ufeff", "نعم"),
        ("\u00a0نعم\t\n لا ", "نعم لا"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u200b\u2800\u3164 \u00ad", ""),
        ("a\x00b", "ab"),
        # Texts that readers distinguish stay different.
        ("كَتَبَ", "كَتَبَ"),
        ("أ", "أ"),
        ("x²", "x²"),
        ("Yes", "Yes"),
        ("محـمد", "محـمد"),
    ],
)
def test_visible_text_has_only_what_a_reader_sees(text, shown):
    assert visible_text(text) == shown


@given(st.text())
def test_the_visible_text_of_a_visible_text_is_the_same(text):
    assert visible_text(visible_text(text)) == visible_text(text)


@pytest.mark.parametrize("bad", ["..", "a/b", "", "manifest", "X_h", "-a", "a\n"])
def test_an_unsafe_id_makes_no_path(bad):
    with pytest.raises(ValueError, match="id:"):
        locations.lesson(bad)


def test_a_stamped_document_is_one_json_object():
    assert encoding.add_version(b'{"id":"A"}', 1_800_000_000) == (
        b'{"version":1800000000,"generated_at":"2027-01-15T08:00:00+00:00","id":"A"}'
    )


def test_a_version_is_read_from_the_beginning_of_a_document():
    whole = encoding.add_version(b'{"id":"A"}', 1_800_000_000)
    assert encoding.first_version_of(whole) == encoding.version_of(whole)
    assert encoding.first_version_of(whole[:-1]) == 1_800_000_000
    assert encoding.version_of(whole[:-1]) == 0
    for other in (b"", b"{}", b"[1]", b'{"id":"A","version":1}'):
        assert encoding.first_version_of(other) == 0


@pytest.mark.django_db
def test_progress_reads_the_tree_it_was_published_as(plan):
    builds.publish_plan(plan.pk)
    found = published_content.load_plan("PLAN-A").subjects["SUBJ-MATH"]
    assert [lesson.id for lesson in found.lessons] == [
        "LES-MATH-0-0",
        "LES-MATH-0-1",
        "LES-MATH-1-0",
        "LES-MATH-1-1",
    ]
    (track,) = found.root.children
    assert [unit.id for unit in track.children] == ["UNIT-MATH-0", "UNIT-MATH-1"]
    assert published_content.load_plan("PLAN-A") is published_content.load_plan(
        "PLAN-A"
    )


@pytest.mark.django_db
def test_a_new_release_is_seen_at_once(plan):
    builds.publish_plan(plan.pk)
    published_content.load_plan("PLAN-A")
    plan.plan_subjects.create(subject=make_subject("PHYS"), position=1)
    builds.publish_plan(plan.pk)
    assert list(published_content.load_plan("PLAN-A").subjects) == [
        "SUBJ-MATH",
        "SUBJ-PHYS",
    ]
    found = published_content.load_plan("PLAN-A")
    assert found.lessons["LES-PHYS-0-0"].bit_index == 0


@pytest.mark.django_db
def test_a_plan_without_a_release_is_refused(plan):
    with pytest.raises(published_content.NotPublishedError, match="not been published"):
        published_content.load_plan("PLAN-A")
