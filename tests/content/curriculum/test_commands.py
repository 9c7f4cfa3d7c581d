"""The import and export commands: clear errors, exit code 1, no traceback."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from content.models import Node
from tests.factories.content import make_branch

pytestmark = pytest.mark.django_db

FILE = {"format": "memora-curriculum/1", "subject": {"id": "SUBJ-1", "title": "Maths"}}


def run(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "maths.json"
    path.write_text(json.dumps(FILE))
    return path


def test_importing_says_what_was_done(file):
    assert run("import_curriculum", str(file)).splitlines() == [
        "Subject “Maths” (SUBJ-1)",
        "Content: 1 created, 0 updated, 0 unchanged",
        "Stages: 0 created, 0 updated, 0 unchanged",
    ]
    assert Node.objects.get().public_id == "SUBJ-1"


@pytest.mark.parametrize("option", ["--accept-losses", "--dry-run"])
def test_importing_says_what_is_not_kept(file, option):
    config = {"format": "html", "body": "<p>a <video></video></p>"}
    stage = {"type": "Text", "title": "S", "config": config}
    lesson = {"title": "L", "stages": [stage]}
    topic = {"title": "T", "lessons": [lesson]}
    track = {"title": "T", "units": [{"title": "U", "topics": [topic]}]}
    file.write_text(json.dumps(FILE | {"subject": {"title": "M", "tracks": [track]}}))
    assert run("import_curriculum", str(file), option).splitlines()[-1] == (
        "subject.tracks[0].units[0].topics[0].lessons[0].stages[0] “S”: "
        "1 element (\u2068<video>\u2069)"
    )
    with pytest.raises(CommandError, match="not accepted the loss"):
        run("import_curriculum", str(file))


def test_a_dry_run_writes_nothing_and_says_so(file):
    output = run("import_curriculum", str(file), "--dry-run")
    assert output.startswith("Dry run: nothing was written")
    assert not Node.objects.exists()


def test_every_fault_is_a_line(file):
    file.write_text(json.dumps(FILE | {"subject": {"titel": "x"}}))
    with pytest.raises(CommandError) as caught:
        run("import_curriculum", str(file))
    assert str(caught.value).splitlines() == [
        "The curriculum file has 2 errors. Nothing was imported.",
        "subject.titel: is not allowed here; allowed: id, title, description, image, "
        "color_code, is_published, is_linear, is_public, is_free_preview, "
        "required_item, tracks",
        "subject.title: is missing",
    ]
    assert caught.value.returncode == 1


@pytest.mark.parametrize("name", ["nothing.json", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(CommandError, match="cannot be read"):
        run("import_curriculum", str(tmp_path / name))


def test_exporting_writes_the_file_that_importing_takes(tmp_path):
    branch = make_branch(lessons=2)
    target = tmp_path / "out.json"
    run("export_curriculum", branch.subject.public_id, "--output", str(target))
    assert target.read_text() == run("export_curriculum", branch.subject.public_id)
    assert "0 created, 0 updated, 6 unchanged" in run("import_curriculum", str(target))


def test_exporting_an_unknown_subject_is_refused():
    with pytest.raises(CommandError, match="There is no subject “SUBJ-NONE”"):
        run("export_curriculum", "SUBJ-NONE")


def test_exporting_to_where_nothing_can_be_written_is_refused(tmp_path):
    branch = make_branch()
    with pytest.raises(CommandError, match="cannot be written"):
        run("export_curriculum", branch.subject.public_id, "--output", str(tmp_path))


def test_the_command_line_speaks_the_project_s_language(file, settings):
    settings.LANGUAGE_CODE = "ar"
    assert "SUBJ-1" in run("import_curriculum", str(file))
