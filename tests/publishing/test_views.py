"""Who may read which files over HTTP."""

import io
import logging.config
import os

import pytest
import time_machine
from django.utils import timezone

from memora_site import logs
from plans.services import set_override
from publishing.building import builds
from publishing.signing import links
from publishing.storage import file_store
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db
BASE = "/files/memora_content/"
MANIFEST = f"{BASE}plans/PLAN-A/manifest.json"


@pytest.fixture
def published(plan):
    set_override(plan=plan, target=node("LES-MATH-0-0"), action="set_free")
    builds.publish_plan(plan.pk)
    return plan


def in_an_hour() -> int:
    return int(timezone.now().timestamp()) + 3600


def test_plan_files_are_read_by_anyone_and_cached(client, published):
    response = client.get(f"{BASE}plans/PLAN-A/manifest.json")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json; charset=utf-8"
    assert response["Cache-Control"] == "public, max-age=300"
    again = client.get(
        f"{BASE}plans/PLAN-A/manifest.json", headers={"If-None-Match": response["ETag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    "held", ["{etag}", "W/{etag}", '"other", {etag}', '"a",W/"b" , W/{etag}', "*"]
)
def test_a_file_that_the_client_has_is_not_sent_again(client, published, held):
    etag = client.get(MANIFEST)["ETag"]
    again = client.get(MANIFEST, headers={"If-None-Match": held.format(etag=etag)})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == etag
    assert again["Cache-Control"] == "public, max-age=300"


@pytest.mark.parametrize("held", ['"other"', 'W/"other", "another"', "nonsense", ""])
def test_a_file_that_the_client_has_not_is_sent(client, published, held):
    assert client.get(MANIFEST, headers={"If-None-Match": held}).status_code == 200


def test_only_the_file_s_own_time_means_that_the_client_has_it(client, published):
    modified = client.get(MANIFEST)["Last-Modified"]
    for since, status in (
        (modified, 304),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 200),  # a rollback may restore an older file
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("nonsense", 200),
    ):
        answer = client.get(MANIFEST, headers={"If-Modified-Since": since})
        assert answer.status_code == status, since
    both = {"If-Modified-Since": modified, "If-None-Match": '"other"'}
    assert client.get(MANIFEST, headers=both).status_code == 200


def test_the_etag_is_the_content_s(client, published):
    before = client.get(MANIFEST)["ETag"]
    file = file_store.root() / "plans/PLAN-A/manifest.json"
    stat, data = file.stat(), file.read_bytes()
    file.unlink()
    file.write_bytes(data.replace(b"PLAN-A", b"PLAN-B"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert client.get(MANIFEST)["ETag"] != before


@pytest.mark.parametrize("path", [MANIFEST, f"{BASE}lessons/no-such.json"])
def test_a_web_app_may_read_files_and_refusals(client, published, path):
    assert client.get(path)["Access-Control-Allow-Origin"] == "*"
    asked = client.options(path)
    assert asked.status_code == 204
    assert asked["Access-Control-Allow-Origin"] == "*"
    assert "If-None-Match" in asked["Access-Control-Allow-Headers"]


def test_an_open_lesson_is_read_by_anyone(client, published):
    assert client.get(f"{BASE}lessons/LES-MATH-0-0.json").status_code == 200


def test_a_gated_lesson_needs_a_token(client, published):
    refused = client.get(f"{BASE}lessons/LES-MATH-0-1.json")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "NOT_ENTITLED")
    url = links.lesson_url("LES-MATH-0-1", expires=in_an_hour())
    allowed = client.get(url.removeprefix("http://127.0.0.1:8000"))
    assert allowed.status_code == 200
    assert allowed["Cache-Control"] == "private, no-store"


def test_a_token_opens_its_own_lesson_and_time_only(client, published):
    url = links.lesson_url("LES-MATH-0-1", expires=in_an_hour())
    query = url.partition("?")[2]
    assert client.get(f"{BASE}lessons/LES-MATH-1-0.json?{query}").status_code == 403
    later = query.replace("expires=", "expires=9")
    assert client.get(f"{BASE}lessons/LES-MATH-0-1.json?{later}").status_code == 403
    with time_machine.travel(in_an_hour() + 1):
        assert client.get(f"{BASE}lessons/LES-MATH-0-1.json?{query}").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "lessons/LES-MATH-0-0.json.prev",
        ".generations/PLAN-A/1/manifest.json",
        "plans/PLAN-A/../../../../etc/passwd",
        "plans/../.generations/PLAN-A/1/manifest.json",
        "plans/PLAN-A/",
        "plans/PLAN-A",
        "plans//PLAN-A/manifest.json",
        "lessons/%00.json",
        "lessons/no-such.json",
    ],
)
def test_other_names_are_not_there(client, published, path):
    assert client.get(BASE + path).status_code == 404


def test_files_are_read_only(client, published):
    assert client.post(f"{BASE}plans/PLAN-A/manifest.json").status_code == 405


@pytest.fixture
def video(settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path / "videos"
    settings.VIDEO_ROOT.mkdir()
    (settings.VIDEO_ROOT / "a.mp4").write_bytes(bytes(range(100)))
    (tmp_path / "secret").write_text("no")
    return links.video_url("a.mp4", expires=in_an_hour()).removeprefix(
        "http://127.0.0.1:8000"
    )


def test_a_video_plays_with_its_signature_only(client, db, video):
    response = client.get(video)
    assert (response.status_code, response["Content-Type"]) == (200, "video/mp4")
    assert b"".join(response.streaming_content) == bytes(range(100))
    assert client.get(video.partition("?")[0]).status_code == 403


@pytest.mark.parametrize(
    ("asked", "answer", "data"),
    [
        ("bytes=0-9", "bytes 0-9/100", bytes(range(10))),
        ("bytes=90-", "bytes 90-99/100", bytes(range(90, 100))),
        ("bytes=-5", "bytes 95-99/100", bytes(range(95, 100))),
        ("bytes=-500", "bytes 0-99/100", bytes(range(100))),
        ("bytes=99-99", "bytes 99-99/100", b"c"),
        ("bytes=10-9999", "bytes 10-99/100", bytes(range(10, 100))),
        ("bytes=10-" + "9" * 5000, "bytes 10-99/100", bytes(range(10, 100))),
        ("Bytes=0-0", "bytes 0-0/100", b"\x00"),
    ],
)
def test_a_player_may_ask_for_a_part(client, db, video, asked, answer, data):
    response = client.get(video, headers={"Range": asked})
    assert (response.status_code, response["Content-Range"]) == (206, answer)
    assert response.content == data


@pytest.mark.parametrize(
    "asked", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=" + "9" * 5000 + "-"]
)
def test_a_range_past_the_end_is_refused_with_the_size(client, db, video, asked):
    response = client.get(video, headers={"Range": asked})
    assert (response.status_code, response["Content-Range"]) == (416, "bytes */100")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=5-3",
        "bytes=-",
        "bytes=a-b",
        "bytes=٣-٤",
        "lines=0-1",
        "0-9",
        "bytes=0-1,5-6",
    ],
)
def test_a_range_that_is_none_or_several_is_answered_with_the_whole(
    client, db, video, asked
):
    response = client.get(video, headers={"Range": asked})
    assert response.status_code == 200
    assert b"".join(response.streaming_content) == bytes(range(100))


def test_a_range_of_another_version_is_answered_with_the_whole(client, db, video):
    whole = client.get(video)
    whole.close()
    for validator, status in (
        (whole["ETag"], 206),
        (whole["Last-Modified"], 206),
        (f"W/{whole['ETag']}", 200),
        ('"other"', 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ):
        asked = {"Range": "bytes=0-9", "If-Range": validator}
        answer = client.get(video, headers=asked)
        assert answer.status_code == status, validator
        answer.close()
    held = client.get(video, headers={"If-None-Match": whole["ETag"]})
    assert held.status_code == 304


def test_asking_for_the_head_of_a_range_is_answered_for_the_whole(client, db, video):
    answer = client.head(video, headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer["Content-Length"]) == (200, "100")
    answer.close()


def test_an_empty_video_has_no_range(client, db, video, settings):
    (settings.VIDEO_ROOT / "a.mp4").write_bytes(b"")
    assert client.get(video, headers={"Range": "bytes=0-"}).status_code == 416


@pytest.mark.parametrize("more", ["&player=7", "&a=b", "#"])
def test_a_signed_url_is_good_only_as_it_was_written(client, published, video, more):
    url = links.lesson_url("LES-MATH-0-1", expires=in_an_hour(), player_id=42)
    uri = url.removeprefix("http://127.0.0.1:8000")
    assert client.get(uri).status_code == 200
    for asked in (uri, video):
        path, _mark, query = asked.partition("?")
        for changed in (query + more, more[1:] + "&" + query):
            assert client.get(path, query_string=changed).status_code == 403
            assert ask_gate(client, f"{path}?{changed}").status_code == 403


def test_a_signature_reaches_no_file_outside(client, db, video):
    url = links.video_url("../secret", expires=in_an_hour())
    path = url.removeprefix("http://127.0.0.1:8000")
    assert client.get(path).status_code == 404


def ask_gate(client, uri: str):
    return client.get("/files/gate", headers={"X-Original-URI": uri})


def test_the_gate_answers_without_a_query(client, db, django_assert_num_queries):
    url = links.lesson_url("LES-MATH-0-1", expires=in_an_hour(), player_id=42)
    uri = url.removeprefix("http://127.0.0.1:8000")
    with django_assert_num_queries(0):
        opened = ask_gate(client, uri)
        refused = ask_gate(client, uri.partition("?")[0])
    assert (opened.status_code, refused.status_code) == (204, 403)
    assert opened["Cache-Control"] == "max-age=60, stale-while-revalidate=60"
    assert refused["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (65, "max-age=60, stale-while-revalidate=5"),
        (4, "max-age=4, stale-while-revalidate=0"),
    ],
)
def test_no_yes_of_the_gate_outlives_its_token(client, db, left, kept):
    with time_machine.travel(in_an_hour(), tick=False):
        expires = int(timezone.now().timestamp()) + left
        uri = links.lesson_url("LES-MATH-0-1", expires=expires).removeprefix(
            "http://127.0.0.1:8000"
        )
        assert ask_gate(client, uri)["Cache-Control"] == kept


@pytest.mark.parametrize(
    "uri", ["", "/", "/admin/", "/files/memora_content/lessons/LES-MATH-0-1.json?a"]
)
def test_the_gate_refuses_what_has_no_token(client, db, uri):
    assert ask_gate(client, uri).status_code == 403


def test_the_gate_opens_videos_by_their_own_tokens(client, db, video):
    assert ask_gate(client, video).status_code == 204
    assert ask_gate(client, video.replace("a.mp4", "b.mp4")).status_code == 403


def test_a_lesson_s_reading_costs_no_query(
    client, published, django_assert_num_queries
):
    url = links.lesson_url("LES-MATH-0-1", expires=in_an_hour(), player_id=42)
    with django_assert_num_queries(0):
        assert client.get(f"{BASE}lessons/LES-MATH-0-0.json").status_code == 200
        assert client.get(url.removeprefix("http://127.0.0.1:8000")).status_code == 200


def test_no_token_reaches_the_log(client, published, video, settings):
    config = logs.logging_config(json=True, level="DEBUG")
    written = io.StringIO()
    config["handlers"]["stderr"]["stream"] = written
    logging.config.dictConfig(config)
    try:
        url = links.lesson_url("LES-MATH-0-1", expires=in_an_hour(), player_id=42)
        uri = url.removeprefix("http://127.0.0.1:8000")
        for asked in (uri, uri.replace("0-1", "1-0"), video, f"{video}x"):
            client.get(asked).close()
            ask_gate(client, asked)
            client.get("/files/gate?" + asked.partition("?")[2])
    finally:
        logging.config.dictConfig(settings.LOGGING)
    tokens = {found.partition("token=")[2] for found in (uri, video)}
    assert "request_finished" in written.getvalue()
    assert not any(token in written.getvalue() for token in tokens)
