"""Import and export in the admin: dry run, then import; messages, all or nothing."""

import csv
import io
import json
import zipfile
from unittest import mock

import openpyxl
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from content import import_export_views
from content.curriculum import export_curriculum
from content.field_lists import NodeFields
from content.history import changes as history_changes
from content.models import LessonStage, MediaFile, Node, SubjectState
from publishing import staleness
from publishing.building import builds
from tests.admin_fixtures import messages_of
from tests.factories.content import trash_node

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:exchange")
CURRICULUM = reverse("admin:import_curriculum")
SHEET = reverse("admin:import_sheet")


def upload(browser, url, data, name):
    if isinstance(data, str):
        data = data.encode()
    return browser.post(url, {"file": SimpleUploadedFile(name, data)})


def confirm(browser, url, page, **fields):
    posted = {"upload": page.context["token"], "shown": page.context["fingerprint"]}
    return browser.post(url, posted | fields, follow=True)


def exported(browser, subject, kind):
    page = browser.get(reverse("admin:export_subject", args=[subject.pk, kind]))
    assert page.status_code == 200
    assert subject.public_id in page.headers["Content-Disposition"]
    return page.content


def sheet(*rows, header=("id", "title", "is_published", "base_xp")):
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def faults(page):
    return [(f.row, f.column, f.reason) for f in page.context["report"].faults]


def bits_ids_and_places(maths):
    pks = [lesson.pk for lesson in maths["lessons"]]
    rows = Node.objects.filter(pk__in=pks).order_by("pk")
    return list(rows.values_list("public_id", "bit_index", "lft", "parent_id"))


# --- Curriculum files -------------------------------------------------------


@pytest.fixture
def file(maths, stage):
    """The subject's export, for a test to change."""
    return json.loads(export_curriculum(maths["subject"].public_id))


def lesson_in(file):
    return file["subject"]["tracks"][0]["units"][0]["topics"][0]["lessons"][0]


def test_a_curriculum_file_is_tried_out_then_imported(browser, maths, file):
    lesson_in(file)["title"] = "Fractions"
    lessons = file["subject"]["tracks"][0]["units"][0]["topics"][0]["lessons"]
    lessons.append({"title": "Decimals", "stages": []})
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    kinds = dict(page.context["kinds"])
    assert (kinds["lesson"].created, kinds["lesson"].updated) == (1, 1)
    assert kinds["lesson"].unchanged == 1
    assert (kinds["unit"].created, kinds["unit"].unchanged) == (0, 1)
    assert not Node.objects.filter(title__in=["Fractions", "Decimals"]).exists()
    page = confirm(browser, CURRICULUM, page)
    assert "“Mathematics” was imported: 1 created, 1 changed" in messages_of(page)[0]
    assert Node.objects.filter(title__in=["Fractions", "Decimals"]).count() == 2


def test_a_loss_is_shown_before_the_import_and_must_be_accepted(browser, maths, file):
    stage = lesson_in(file)["stages"][0]
    stage["config"] = {"format": "html", "body": "<p>a <video></video></p>"}
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    content = page.content.decode()
    assert "stages[0]</code>: 1 element (\u2068&lt;video&gt;\u2069)" in content
    assert (
        '<input type="checkbox" name="accept_losses" value="yes" required>' in content
    )
    refused = confirm(browser, CURRICULUM, page)
    assert "you have not accepted the loss" in refused.content.decode()
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    page = confirm(browser, CURRICULUM, page, accept_losses="yes")
    assert "was imported" in messages_of(page)[0]
    assert LessonStage.objects.get(public_id=stage["id"]).config["body"] == "<p>a </p>"


def test_a_file_that_changes_nothing_offers_nothing_to_do(browser, maths, file):
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    assert page.context["token"] == ""
    assert "Nothing to import" in page.content.decode()


def test_faults_are_listed_with_their_places(browser, maths, file):
    lesson_in(file)["stages"][0]["type"] = "Song"
    file["subject"]["color_code"] = "teal"
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    assert page.status_code == 400
    places = [place for place, _reason in page.context["faults"]]
    assert len(places) == 2
    text = page.content.decode()
    assert "subject.color_code" in text
    assert "stages[0].type" in text


def test_what_changed_since_the_trial_is_shown_again_first(browser, maths, file):
    lesson_in(file)["title"] = "Fractions"
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    Node.objects.filter(pk=maths["lesson"].pk).update(title="Fractions")
    page = confirm(browser, CURRICULUM, page)
    assert "The content has changed since you checked" in messages_of(page)[0]
    assert page.context["token"] == ""


def test_an_edit_since_the_trial_is_shown_though_the_counts_are_the_same(
    browser, maths, file
):
    lesson_in(file)["title"] = "Fractions"
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    Node.objects.filter(pk=maths["lesson"].pk).update(title="Written meanwhile")
    page = confirm(browser, CURRICULUM, page)
    assert "The content has changed since you checked" in messages_of(page)[0]
    assert Node.objects.get(pk=maths["lesson"].pk).title == "Written meanwhile"
    confirm(browser, CURRICULUM, page)
    assert Node.objects.get(pk=maths["lesson"].pk).title == "Fractions"


NEW = {"format": "memora-curriculum/1", "subject": {"title": "Made", "tracks": []}}
"""A file without ids: every import of it creates a subject."""


def subjects_made():
    return Node.objects.filter(title="Made").count()


def test_a_second_click_imports_nothing_and_gets_the_first_ones_answer(browser):
    page = upload(browser, CURRICULUM, json.dumps(NEW), "new.json")
    first = confirm(browser, CURRICULUM, page)
    second = confirm(browser, CURRICULUM, page)
    assert messages_of(second) == messages_of(first)
    assert "“Made” was imported" in messages_of(second)[0]
    assert subjects_made() == 1


def test_a_second_click_on_a_sheet_gets_the_first_ones_answer(browser, maths):
    data = sheet([maths["lesson"].public_id, "Fractions"], header=("id", "title"))
    page = upload(browser, SHEET, data, "lessons.csv")
    confirm(browser, SHEET, page)
    assert messages_of(confirm(browser, SHEET, page)) == [
        "1 lesson was changed. Students will see it after the next publish."
    ]


def test_a_click_during_the_import_is_told_that_it_is_under_way(browser, monkeypatch):
    messages = []
    really = import_export_views.import_curriculum

    def while_clicking_again(data, *, dry_run, **options):
        if not dry_run:
            messages.extend(messages_of(confirm(browser, CURRICULUM, page)))
        return really(data, dry_run=dry_run, **options)

    page = upload(browser, CURRICULUM, json.dumps(NEW), "new.json")
    monkeypatch.setattr(import_export_views, "import_curriculum", while_clicking_again)
    confirm(browser, CURRICULUM, page)
    assert len(messages) == 1
    assert "already being imported" in messages[0]
    assert subjects_made() == 1


def test_an_import_that_failed_can_be_tried_again(browser, monkeypatch):
    page = upload(browser, CURRICULUM, json.dumps(NEW), "new.json")
    with monkeypatch.context() as patch:
        patch.setattr(
            import_export_views, "import_curriculum", mock.Mock(side_effect=LookupError)
        )
        with pytest.raises(LookupError):
            confirm(browser, CURRICULUM, page)
    confirm(browser, CURRICULUM, page)
    assert subjects_made() == 1


def test_an_import_that_lost_its_races_is_sent_again_by_its_page(browser, monkeypatch):
    page = upload(browser, CURRICULUM, json.dumps(NEW), "new.json")
    lost = mock.Mock(side_effect=OperationalError(1213, "Deadlock found"))
    with monkeypatch.context() as patch:
        patch.setattr(import_export_views, "import_curriculum", lost)
        browser.defaults["HTTP_ACCEPT"] = "text/html"
        page = confirm(browser, CURRICULUM, page)
    assert page.status_code == 409
    assert lost.call_count == 3
    page = browser.post(CURRICULUM, dict(page.context["typed"]), follow=True)
    assert "“Made” was imported" in messages_of(page)[0]


@pytest.fixture
def no_redis(settings):
    """Return a function that makes Redis unreachable."""

    def go():
        default = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
        settings.CACHES = {"default": default}

    return go


def test_without_redis_a_file_is_refused_in_words(browser, no_redis):
    no_redis()
    page = upload(browser, CURRICULUM, json.dumps(NEW), "new.json")
    assert page.status_code == 400
    assert "Redis does not answer" in page.context["refusal"].message


def test_when_redis_goes_after_the_trial_nothing_is_imported(browser, no_redis):
    page = upload(browser, CURRICULUM, json.dumps(NEW), "new.json")
    no_redis()
    page = confirm(browser, CURRICULUM, page)
    assert page.status_code == 400
    assert "Redis does not answer" in page.context["refusal"].message
    assert subjects_made() == 0


def test_when_redis_goes_during_the_import_it_is_imported_all_the_same(
    browser, no_redis, monkeypatch
):
    really = import_export_views.import_curriculum

    def losing_redis(data, **options):
        no_redis()
        return really(data, **options)

    page = upload(browser, CURRICULUM, json.dumps(NEW), "new.json")
    monkeypatch.setattr(import_export_views, "import_curriculum", losing_redis)
    page = confirm(browser, CURRICULUM, page)
    assert "“Made” was imported" in messages_of(page)[0]
    assert subjects_made() == 1


def test_a_token_is_its_uploaders_alone(browser, client_of, editor, maths, file):
    lesson_in(file)["title"] = "Fractions"
    page = upload(browser, CURRICULUM, json.dumps(file), "maths.json")
    posted = {"upload": page.context["token"], "shown": page.context["fingerprint"]}
    page = client_of(editor).post(CURRICULUM, posted)
    assert page.status_code == 400
    assert "The uploaded file has expired" in page.content.decode()
    assert not Node.objects.filter(title="Fractions").exists()


def test_nothing_uploaded_is_said(browser):
    page = browser.post(CURRICULUM)
    assert page.status_code == 400
    assert "Choose a file first." in page.content.decode()


def test_an_export_is_the_commands_file(browser, maths, stage):
    data = exported(browser, maths["subject"], "json")
    assert data == export_curriculum(maths["subject"].public_id)


# --- Sheets of lessons ------------------------------------------------------


@pytest.mark.parametrize("title", ["=1+1", "'=1+1", "''- one", "'quoted'"])
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_an_exported_sheet_comes_back_unchanged(browser, maths, kind, title):
    Node.objects.filter(pk=maths["lesson"].pk).update(
        title=title, description="two\nlines, “quoted”", required_item="MATH-12"
    )
    data = exported(browser, maths["subject"], kind)
    page = upload(browser, SHEET, data, f"lessons.{kind}")
    report = page.context["report"]
    assert (report.rows, report.changes, report.faults) == (2, [], [])


def test_an_exported_sheet_says_where_each_lesson_lies(browser, maths):
    book = openpyxl.load_workbook(
        io.BytesIO(exported(browser, maths["subject"], "xlsx"))
    )
    header, first, *_rest = book.active.iter_rows(values_only=True)
    row = dict(zip(header, first, strict=True))
    assert row["id"] == maths["lesson"].public_id
    assert row["where"] == (
        "Mathematics › Mathematics's track › Mathematics's unit › Mathematics's topic"
    )
    assert (row["is_published"], row["base_xp"]) == ("yes", "10")


def test_what_is_in_the_trash_is_not_exported(browser, maths):
    trash_node(node=maths["lesson"])
    data = exported(browser, maths["subject"], "csv").decode()
    assert maths["lesson"].public_id not in data
    assert maths["lessons"][1].public_id in data


def test_a_spreadsheets_formulas_are_text(browser, maths):
    Node.objects.filter(pk=maths["lesson"].pk).update(title='=HYPERLINK("x")')
    book = openpyxl.load_workbook(
        io.BytesIO(exported(browser, maths["subject"], "xlsx"))
    )
    assert book.active["C2"].value == '=HYPERLINK("x")'
    assert "f" not in {cell.data_type for cell in book.active[2]}
    assert "'=HYPERLINK" in exported(browser, maths["subject"], "csv").decode()


def test_a_sheet_is_tried_out_then_changes_lessons(browser, superuser, plan, maths):
    builds.publish_plan(plan.pk)
    first, second = maths["lessons"]
    before = bits_ids_and_places(maths)
    page = upload(
        browser,
        SHEET,
        sheet(
            [first.public_id, "Fractions", "no", "25"],
            [second.public_id, second.title, "yes", "10"],
        ),
        "lessons.csv",
    )
    report = page.context["report"]
    [change] = report.changes
    assert (change.row, change.id, report.unchanged) == (2, first.public_id, 1)
    assert change.fields == [
        ("Title", first.title, "Fractions"),
        ("Published", "yes", "no"),
        ("XP", "10", "25"),
    ]
    assert not Node.objects.filter(title="Fractions").exists()
    page = confirm(browser, SHEET, page)
    assert "1 lesson was changed." in messages_of(page)[0]
    first.refresh_from_db()
    assert (first.title, first.is_published, first.base_xp) == ("Fractions", False, 25)
    assert bits_ids_and_places(maths) == before
    assert staleness.pending([plan.pk])
    edit = history_changes.node_edits(first)[0]
    assert (edit.reason, edit.who) == ("sheet", superuser.email)
    assert len(history_changes.node_edits(second)) == 1


def test_a_lesson_changed_since_the_trial_is_shown_again_before_a_sheet_writes_it(
    browser, maths
):
    lesson = maths["lesson"]
    data = sheet([lesson.public_id, "Fractions"], header=("id", "title"))
    page = upload(browser, SHEET, data, "lessons.csv")
    Node.objects.filter(pk=lesson.pk).update(title="Written meanwhile")
    page = confirm(browser, SHEET, page)
    assert "The content has changed since you checked" in messages_of(page)[0]
    [change] = page.context["report"].changes
    assert change.fields == [("Title", "Written meanwhile", "Fractions")]
    lesson.refresh_from_db()
    assert lesson.title == "Written meanwhile"


def test_what_was_tried_out_in_one_language_is_imported_in_another(browser, maths):
    lesson = maths["lesson"]
    header = ("id", "is_published")
    data = sheet([lesson.public_id, "no"], header=header)
    browser.cookies["django_language"] = "en"
    page = upload(browser, SHEET, data, "lessons.csv")
    browser.cookies["django_language"] = "ar"
    confirm(browser, SHEET, page)
    lesson.refresh_from_db()
    assert not lesson.is_published


def test_a_sheet_has_every_flat_field_of_a_lessons_form(browser, maths):
    lesson = maths["lesson"]
    page = browser.get(reverse("admin:content_node_change", args=[lesson.pk]))
    form = set(page.context["adminform"].form.fields)
    assert set(NodeFields.SHEET) == form - {"public_id", "image", "seen"}
    header = ("id", "is_public", "color_code")
    data = sheet([lesson.public_id, "yes", "#0b7a75"], header=header)
    confirm(browser, SHEET, upload(browser, SHEET, data, "lessons.csv"))
    lesson.refresh_from_db()
    assert (lesson.is_public, lesson.color_code) == (True, "#0b7a75")


@pytest.mark.parametrize(
    ("column", "value", "label", "reason"),
    [
        ("title", "", "Title", "This field cannot be blank."),
        ("is_published", "perhaps", "Published", "Enter yes or no."),
        ("is_published", "", "Published", "Enter yes or no."),
        ("is_public", "2", "Public", "Enter yes or no."),
        ("color_code", "teal", "Colour", "#"),
        ("base_xp", "many", "XP", "Enter a whole number."),
        ("base_xp", "10.5", "XP", "Enter a whole number."),
        ("base_xp", "1001", "XP", "less than or equal to 1000"),
        ("required_item", "a b", "Product code", "A product code can contain"),
    ],
)
def test_a_wrong_cell_is_named_and_nothing_is_imported(
    browser, maths, column, value, label, reason
):
    first, second = maths["lessons"]
    good = {
        "title": "A",
        "required_item": "A",
        "base_xp": "20",
        "color_code": "#000000",
    }
    rows = [[second.public_id, good.get(column, "no")], [first.public_id, value]]
    header = ("id", column)
    page = upload(browser, SHEET, sheet(*rows, header=header), "lessons.csv")
    [(row, where, why)] = faults(page)
    assert (row, where) == (3, label)
    assert reason in why
    assert page.context["token"] == ""


def test_a_sheet_makes_no_lesson_and_knows_lessons_only(browser, maths):
    trash_node(node=maths["lessons"][1])
    page = upload(
        browser,
        SHEET,
        sheet(
            ["LES-NEW", "New"],
            [maths["unit"].public_id, "Unit"],
            [maths["lessons"][1].public_id, "Gone"],
            ["", "Nameless"],
            [maths["lesson"].public_id, "Once"],
            [maths["lesson"].public_id, "Twice"],
            header=("id", "title"),
        ),
        "lessons.csv",
    )
    assert [row for row, _column, _why in faults(page)] == [2, 3, 4, 5, 7]
    count = Node.objects.count()
    assert page.context["token"] == ""
    assert Node.objects.count() == count


def test_a_column_left_out_stays_as_it_is(browser, maths):
    lesson = maths["lesson"]
    Node.objects.filter(pk=lesson.pk).update(base_xp=42, description="Kept")
    data = sheet([lesson.public_id, "Renamed"], header=("id", "title"))
    confirm(browser, SHEET, upload(browser, SHEET, data, "lessons.csv"))
    lesson.refresh_from_db()
    assert (lesson.title, lesson.base_xp, lesson.description) == ("Renamed", 42, "Kept")


def test_arabic_words_and_semicolons_are_read(browser, maths):
    lesson = maths["lesson"]
    data = f"\ufeffid;title;is_published\r\n{lesson.public_id};الكسور;لا\r\n\r\n"
    confirm(browser, SHEET, upload(browser, SHEET, data, "الدروس.csv"))
    lesson.refresh_from_db()
    assert (lesson.title, lesson.is_published) == ("الكسور", False)


def test_numbers_a_spreadsheet_made_of_text_are_read_as_text(browser, maths):
    lesson = maths["lesson"]
    book = openpyxl.Workbook()
    book.active.append(["id", "title", "base_xp", "is_published", "unknown"])
    book.active.append([lesson.public_id, 2024.0, 15.0, True, "x"])
    out = io.BytesIO()
    book.save(out)
    page = upload(browser, SHEET, out.getvalue(), "lessons.xlsx")
    assert page.context["report"].ignored_columns == ["unknown"]
    confirm(browser, SHEET, page, accept_losses="yes")
    lesson.refresh_from_db()
    assert (lesson.title, lesson.base_xp) == ("2024", 15)


def test_a_sheet_with_unknown_columns_is_imported_only_after_a_confirmation(
    browser, maths
):
    lesson = maths["lesson"]
    data = f"id,title,unknown\n{lesson.public_id},New,red\n"
    page = upload(browser, SHEET, data, "lessons.csv")
    assert page.context["report"].faults == []
    assert 'name="accept_losses"' in page.content.decode()
    refused = confirm(browser, SHEET, page)
    assert "you have not accepted the loss" in refused.content.decode()
    lesson.refresh_from_db()
    assert lesson.title != "New"


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("lessons.txt", b"id", "Upload an .xlsx or a .csv file."),
        ("lessons.csv", b"title\nx", "must contain the column names"),
        ("lessons.csv", b"", "must contain the column names"),
        ("lessons.csv", b"id,id\n1,2", "Two columns have the same name."),
        ("lessons.csv", b"id\n\xff\xfe", "The file is not UTF-8 text."),
        ("lessons.csv", b'id\n1\n"2', "Line 3 is not valid CSV"),
        ("lessons.csv", b"id\n" + b"1" * 200_000, "Line 2 is not valid CSV"),
        ("lessons.xlsx", b"not a zip", "This spreadsheet cannot be read."),
    ],
)
def test_a_file_that_is_no_sheet_is_refused_in_words(browser, name, data, why):
    page = upload(browser, SHEET, data, name)
    assert page.status_code == 400
    assert why in page.context["refusal"].message


def with_a_chart_sheet(data):
    book = openpyxl.load_workbook(io.BytesIO(data))
    book.create_chartsheet("Chart", 0)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def with_a_damaged_part(data):
    """Overwrite the compressed bytes of one part."""
    place = data.index(b"sheet1.xml") + len(b"sheet1.xml")
    return data[:place] + b"\xff" * 60 + data[place + 60 :]


def with_a_password(data):
    """Set the encryption bit in the header of each part of the zip file."""
    changed = bytearray(data)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = changed.find(mark)
        while place >= 0:
            changed[place + flags] |= 1
            place = changed.find(mark, place + 1)
    return bytes(changed)


def test_a_chart_before_the_lessons_is_passed_over(browser, maths):
    data = with_a_chart_sheet(exported(browser, maths["subject"], "xlsx"))
    page = upload(browser, SHEET, data, "lessons.xlsx")
    assert (page.context["report"].rows, page.context["report"].faults) == (2, [])


@pytest.mark.parametrize("spoil", [with_a_damaged_part, with_a_password])
def test_a_workbook_that_cannot_be_read_is_refused_in_words(browser, maths, spoil):
    data = spoil(exported(browser, maths["subject"], "xlsx"))
    page = upload(browser, SHEET, data, "lessons.xlsx")
    assert page.status_code == 400
    assert "This spreadsheet cannot be read." in page.context["refusal"].message


def test_a_text_that_no_cell_holds_is_refused_before_the_export(browser, maths):
    Node.objects.filter(pk=maths["lesson"].pk).update(description="x" * 40_000)
    for kind in ("xlsx", "csv"):
        url = reverse("admin:export_subject", args=[maths["subject"].pk, kind])
        page = browser.get(url)
        assert page.status_code == 400
        assert "“description”" in page.context["refusal"].message
        assert maths["lesson"].public_id in page.content.decode()


def test_lessons_that_are_no_longer_sold_are_told_before_they_are_written(
    browser, maths
):
    Node.objects.filter(pk=maths["lesson"].pk).update(required_item="MATH-12")
    data = sheet([maths["lesson"].public_id, ""], header=("id", "required_item"))
    page = upload(browser, SHEET, data, "lessons.csv")
    assert "1 lesson will lose its product code" in page.content.decode()


def test_an_import_costs_the_same_queries_however_many_rows(browser, grow):
    counts = []
    for lessons in (2, 40):
        nodes = grow(f"Subject of {lessons}", lessons=lessons)
        rows = [[lesson.public_id, f"New {lesson.pk}"] for lesson in nodes["lessons"]]
        page = upload(browser, SHEET, sheet(*rows, header=("id", "title")), "l.csv")
        with CaptureQueriesContext(connection) as queries:
            confirm(browser, SHEET, page)
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- Permissions ------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "looks", "imports"),
    [
        ("Content Editors", 200, 400),
        ("System Managers", 200, 400),
        ("Publishers", 200, 403),
        ("Support", 403, 403),
    ],
)
def test_only_editors_import_and_readers_export(
    client_of, staff, maths, role, looks, imports
):
    browser = client_of(staff(role))
    assert browser.get(PAGE).status_code == looks
    url = reverse("admin:export_subject", args=[maths["subject"].pk, "csv"])
    assert browser.get(url).status_code == looks
    for url in (CURRICULUM, SHEET, reverse("admin:import_converted")):
        assert browser.post(url).status_code == imports


def test_the_page_without_subjects_says_what_to_do_first(browser):
    assert "There are no subjects yet." in browser.get(PAGE).content.decode()


def test_an_export_of_nothing_is_not_found(browser, maths):
    for pk, kind in ((maths["subject"].pk, "exe"), (maths["unit"].pk, "csv")):
        url = reverse("admin:export_subject", args=[pk, kind])
        assert browser.get(url).status_code == 404


def test_stages_are_not_touched_by_a_sheet(browser, maths, stage):
    before = SubjectState.objects.get(pk=maths["subject"].pk).revision
    data = sheet([maths["lesson"].public_id, "Renamed"], header=("id", "title"))
    confirm(browser, SHEET, upload(browser, SHEET, data, "lessons.csv"))
    assert LessonStage.objects.get().config == stage.config
    assert SubjectState.objects.get(pk=maths["subject"].pk).revision == before + 1


# --- ZIPs with media ----------------------------------------------------------


def zipped(**changes):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as opened:
        made = NEW | {"subject": {**NEW["subject"], "image": "a.png", **changes}}
        opened.writestr("book.json", json.dumps(made))
        opened.writestr("a.png", buffer.getvalue())
    return data.getvalue()


def test_a_zip_is_tried_out_then_imported_with_its_pictures(browser):
    page = upload(browser, CURRICULUM, zipped(), "book.zip")
    assert "Import preview" in page.content.decode()
    assert not MediaFile.objects.exists()
    page = confirm(browser, CURRICULUM, page)
    assert "was imported" in messages_of(page)[0]
    image = Node.objects.get(title="Made").image
    assert default_storage.exists(image.name)
    assert MediaFile.objects.get().path == image.name


def test_a_zip_whose_result_has_changed_leaves_no_picture(browser, settings):
    page = upload(browser, CURRICULUM, zipped(), "book.zip")
    posted = {"upload": page.context["token"], "shown": "another"}
    page = browser.post(CURRICULUM, posted, follow=True)
    assert "content has changed" in messages_of(page)[0]
    assert not MediaFile.objects.exists()
    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


def test_a_zip_with_a_missing_picture_names_it(browser):
    page = upload(browser, CURRICULUM, zipped(image="b.png"), "book.zip")
    assert page.status_code == 400
    assert page.context["faults"] == [
        ("subject.image", "there is no file “b.png” in the ZIP")
    ]


def test_a_subject_is_exported_as_a_zip(browser, maths):
    page = browser.get(
        reverse("admin:export_subject", args=[maths["subject"].pk, "zip"])
    )
    with zipfile.ZipFile(io.BytesIO(b"".join(page.streaming_content))) as opened:
        (name,) = opened.namelist()
    assert name == f"{maths['subject'].public_id}.curriculum.json"
    assert name.replace(".json", ".zip") in page.headers["Content-Disposition"]
