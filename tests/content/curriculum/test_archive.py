"""Import of a ZIP with media: stored once, or refused by name and place."""

import io
import json
import stat
import zipfile
from io import StringIO

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from PIL import Image

from content import services
from content.curriculum import archive, export_archive, import_curriculum
from content.curriculum.report import Counts
from content.media import library
from content.models import LessonStage, MediaFile, MediaKind, Node
from core.errors import CurriculumError

pytestmark = pytest.mark.django_db

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(64)
MP3 = b"ID3\x04" + bytes(64)
VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
STAGES = "subject.tracks[0].units[0].topics[0].lessons[0].stages"


@pytest.fixture(autouse=True)
def _videos(settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path / "videos"


def picture(size: int = 4, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size)).save(buffer, kind)
    return buffer.getvalue()


def stage(type_name, **config):
    return {"type": type_name, "title": type_name, "config": config}


def html(body):
    return stage("Text", format="html", body=body)


def document(*stages, **subject):
    topic = {"title": "T", "lessons": [{"title": "L", "stages": list(stages)}]}
    track = {"title": "T", "units": [{"title": "U", "topics": [topic]}]}
    made = {"id": "SUBJ-ZIP", "title": "Zipped", "tracks": [track], **subject}
    return {"format": "memora-curriculum/1", "subject": made}


def packed(made, folder="", **options):
    """A ZIP of the document and the files in ``options``, by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(f"{folder}book.json", json.dumps(made))
        for name, data in options.items():
            opened.writestr(f"{folder}{name}", data)
    return buffer.getvalue()


def configs():
    return [stage.config for stage in LessonStage.objects.order_by("position")]


def faults_of(data):
    with pytest.raises(CurriculumError) as refusal:
        import_curriculum(data)
    return refusal.value.faults


def files_here(settings):
    roots = (settings.MEDIA_ROOT, settings.VIDEO_ROOT)
    return [path for root in roots for path in root.rglob("*") if path.is_file()]


EVERYTHING = document(
    html('<p>a <img src="img/a.png" alt="a"> <a href="img/a.png">large</a></p>'),
    stage("Text", format="markdown", body="See ![a](img/copy%20of%20a.png)"),
    stage("Video", source="v.mp4", poster="img/a.png", captions=[{"language": "en"}]),
    image="img/a.png",
)
EVERYTHING_STAGES = EVERYTHING["subject"]["tracks"][0]["units"][0]["topics"][0][
    "lessons"
][0]["stages"]
EVERYTHING_STAGES[2]["config"]["captions"][0]["url"] = "en.vtt"
FILES = {
    "img/a.png": picture(),
    "img/copy of a.png": picture(),
    "v.mp4": MP4,
    "en.vtt": VTT,
}


@pytest.mark.parametrize("folder", ["", "my book/"])
def test_relative_paths_become_the_addresses_of_stored_files(folder):
    import_curriculum(packed(EVERYTHING, folder, **FILES))
    stored = MediaFile.objects.get(kind=MediaKind.PICTURE)
    video = MediaFile.objects.get(kind=MediaKind.VIDEO)
    address = f"/media/{stored.path}"
    in_html, in_markdown, in_video = configs()
    assert in_html["body"].count(f'"{address}"') == 2
    assert in_markdown["body"] == f"See ![a]({address})"
    assert in_video["source"] == video.path
    assert in_video["poster"] == address
    assert in_video["captions"] == [
        {"language": "en", "cues": [{"start": 1, "end": 2, "text": "Hello"}]}
    ]
    assert Node.objects.get(public_id="SUBJ-ZIP").image == stored.path


def test_equal_pictures_are_stored_once(settings):
    import_curriculum(packed(EVERYTHING, **FILES))
    assert len(files_here(settings)) == 2


def test_a_picture_of_the_library_is_used_again(settings):
    known = library.add(ContentFile(picture(), name="a.png"), kind=MediaKind.PICTURE)
    import_curriculum(
        packed(document(html('<img src="b.png" alt="">')), **{"b.png": picture()})
    )
    assert MediaFile.objects.get() == known
    assert known.path in configs()[0]["body"]


def test_a_dry_run_stores_nothing_and_reports_the_same(settings):
    data = packed(EVERYTHING, **FILES)
    tried = import_curriculum(data, dry_run=True)
    assert files_here(settings) == []
    assert not MediaFile.objects.exists()
    done = import_curriculum(data)
    assert (tried.nodes, tried.stages) == (done.nodes, done.stages)


def test_importing_the_same_zip_again_changes_nothing(settings):
    data = packed(EVERYTHING, **FILES)
    import_curriculum(data)
    exported = io.BytesIO()
    export_archive("SUBJ-ZIP", exported)
    report = import_curriculum(exported.getvalue())
    assert report.nodes == Counts(unchanged=5)
    assert report.stages == Counts(unchanged=3)
    assert len(files_here(settings)) == 2


def test_an_export_makes_the_same_subject_elsewhere(settings, tmp_path):
    import_curriculum(packed(EVERYTHING, **FILES))
    exported = io.BytesIO()
    export_archive("SUBJ-ZIP", exported)
    before = configs()
    services.delete_node(node=Node.objects.get(public_id="SUBJ-ZIP"))
    MediaFile.objects.all().delete()
    settings.MEDIA_ROOT = tmp_path / "elsewhere"
    settings.VIDEO_ROOT = tmp_path / "videos elsewhere"
    import_curriculum(exported.getvalue())
    after = configs()
    assert after[:2] == before[:2]
    assert len(files_here(settings)) == 2


@pytest.mark.parametrize("name", ["b.png", "../a.png", "/media/images/none.png"])
def test_a_picture_that_is_nowhere_is_named_with_its_place(name):
    made = document(html(f'<img src="{name}" alt="">'))
    ((place, reason),) = faults_of(packed(made, **{"a.png": picture()}))
    assert place == f"{STAGES}[0].config.body"
    assert name.removeprefix("/media/") in reason


def test_a_picture_field_without_its_picture_is_named():
    made = document(stage("Video", source="v.mp4", poster="b.png"), image="c.png")
    assert dict(faults_of(packed(made, **{"v.mp4": MP4}))) == {
        "subject.image": "there is no file “c.png” in the ZIP",
        f"{STAGES}[0].config.poster": "there is no file “b.png” in the ZIP",
    }


def test_a_file_without_zip_is_refused_if_its_media_are_missing():
    made = document(stage("Video", source="none.mp4", poster="/media/photos/sara.png"))
    faults = dict(faults_of(json.dumps(made).encode()))
    assert "none.mp4" in faults[f"{STAGES}[0].config.source"]
    assert "may not read" in faults[f"{STAGES}[0].config.poster"]


def test_what_is_stored_already_and_unchanged_is_not_checked_again(settings):
    data = packed(EVERYTHING, **FILES)
    import_curriculum(data)
    exported = io.BytesIO()
    export_archive("SUBJ-ZIP", exported)
    for path in files_here(settings):
        path.unlink()
    with zipfile.ZipFile(exported) as opened:
        made = json.loads(opened.read("SUBJ-ZIP.curriculum.json"))
    made["subject"]["image"] = str(Node.objects.get(level=0).image)
    lesson = made["subject"]["tracks"][0]["units"][0]["topics"][0]["lessons"][0]
    for here, config in zip(lesson["stages"], configs(), strict=True):
        here["config"] = config
    assert import_curriculum(json.dumps(made).encode()).stages == Counts(unchanged=3)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.png", b"<svg/>", "JPEG, PNG"),
        ("a.png", picture()[:40], "“a.png”"),
        ("a.mp3", b"<html>" + bytes(64), "MP3"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_at_its_place(name, data, words):
    tag = "audio" if name.endswith("mp3") else "img"
    made = document(html(f'<p>a</p><{tag} src="{name}"></{tag}>'))
    ((place, reason),) = faults_of(packed(made, **{name: data}))
    assert place == f"{STAGES}[0].config.body"
    assert words in reason


def test_wrong_captions_are_refused_with_their_line():
    made = document(
        stage("Video", source="v.mp4", captions=[{"language": "en", "url": "en.vtt"}])
    )
    data = packed(made, **{"v.mp4": MP4, "en.vtt": b"WEBVTT\n\n1 --> 2\nHello\n"})
    assert "Line 3" in dict(faults_of(data))[f"{STAGES}[0].config.captions[0].url"]


def test_a_failed_import_leaves_no_file(settings):
    made = document(
        html('<img src="a.png" alt="">'),
        stage("Video", source="v.mp4"),
        html('<img src="none.png" alt="">'),
    )
    faults_of(packed(made, **{"a.png": picture(), "v.mp4": MP4}))
    assert files_here(settings) == []
    assert not MediaFile.objects.exists()


def test_an_import_that_is_cancelled_at_its_end_leaves_no_file(settings):
    def cancel(_report):
        raise LookupError

    with pytest.raises(LookupError):
        import_curriculum(packed(EVERYTHING, **FILES), check=cancel)
    assert files_here(settings) == []
    assert not Node.objects.exists()


def test_a_failed_import_keeps_the_files_of_the_library(settings):
    library.add(ContentFile(picture(), name="a.png"), kind=MediaKind.PICTURE)
    made = document(html('<img src="a.png"> <img src="none.png">'))
    faults_of(packed(made, **{"a.png": picture()}))
    assert len(files_here(settings)) == 1


def test_files_that_nothing_uses_are_noted():
    report = import_curriculum(
        packed(document(), **{"a.png": picture(), "__MACOSX/._a.png": b"x"})
    )
    assert report.notes == (("ZIP", "1 file of the ZIP is not used: a.png"),)


# --- Hostile archives ---------------------------------------------------------


def with_entry(name, data=b"x", **attributes):
    buffer = io.BytesIO(packed(document()))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as opened:
        entry = zipfile.ZipInfo(name)
        entry.compress_type = attributes.get("compress_type", zipfile.ZIP_DEFLATED)
        entry.external_attr = attributes.get("external_attr", 0)
        opened.writestr(entry, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/a.png", "has an absolute path"),
        ("C:/a.png", "has an absolute path"),
        ("C:\\a.png", "has an absolute path"),
        ("../a.png", "has “..” in its path"),
        ("x\\..\\..\\a.png", "has “..” in its path"),
        ("a.exe", "is not a picture"),
        ("a.svg", "is not a picture"),
    ],
)
def test_an_entry_with_a_bad_name_is_refused_by_its_name(name, words):
    ((_place, reason),) = faults_of(with_entry(name))
    assert words in reason
    assert name in reason


def test_a_symbolic_link_is_refused():
    link = (stat.S_IFLNK | 0o777) << 16
    ((_place, reason),) = faults_of(with_entry("a.png", external_attr=link))
    assert reason == "“a.png” is a symbolic link"


def test_an_unusual_compression_is_refused():
    data = with_entry("a.png", compress_type=zipfile.ZIP_LZMA)
    assert "use Deflate" in faults_of(data)[0][1]


def test_a_zip_bomb_is_refused_before_it_is_read():
    data = with_entry("v.mp4", bytes(20_000_000))
    assert "times its compressed size" in faults_of(data)[0][1]


def test_entries_that_are_too_large_or_too_many_are_refused(settings, monkeypatch):
    settings.PICTURE_MAX_BYTES = 10
    data = packed(document(), **{"a.png": picture()})
    assert "“a.png” is larger than 1 MB" in faults_of(data)[0][1]
    monkeypatch.setattr(archive, "MAX_ENTRIES", 1)
    assert "more than 1 files" in faults_of(data)[0][1]
    monkeypatch.setattr(archive, "MAX_ENTRIES", 9)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 9)
    assert "more than" in faults_of(data)[0][1]


def test_a_zip_without_exactly_one_json_file_is_refused():
    assert "it contains 2" in faults_of(with_entry("b.json"))[0][1]


def test_one_name_twice_is_refused():
    data = packed(document(), **{"A.png": picture(), "a.PNG": picture()})
    assert "in the ZIP twice" in faults_of(data)[0][1]


@pytest.mark.parametrize("cut", [10, 60, -30])
def test_a_damaged_zip_is_refused(cut):
    data = packed(document(html('<img src="a.png" alt="">')), **{"a.png": picture()})
    assert faults_of(data[:cut])


# --- Commands -----------------------------------------------------------------


def test_the_commands_take_and_write_a_zip(tmp_path, settings):
    file = tmp_path / "book.zip"
    file.write_bytes(packed(EVERYTHING, **FILES))
    call_command("import_curriculum", str(file), stdout=StringIO())
    target = tmp_path / "out.zip"
    call_command("export_curriculum", "SUBJ-ZIP", "--zip", "--output", str(target))
    with zipfile.ZipFile(target) as opened:
        names = opened.namelist()
    assert names[-1] == "SUBJ-ZIP.curriculum.json"
    assert len(names) == 3
    with pytest.raises(CommandError, match="--output"):
        call_command("export_curriculum", "SUBJ-ZIP", "--zip")


def test_the_stored_file_is_the_picture_itself(settings):
    import_curriculum(packed(EVERYTHING, **FILES))
    row = MediaFile.objects.get(kind=MediaKind.PICTURE)
    with default_storage.open(row.path) as file:
        assert Image.open(file).size == (4, 4)
    assert (row.name, row.size > 0, len(row.sha256)) == ("a.png", True, 64)
