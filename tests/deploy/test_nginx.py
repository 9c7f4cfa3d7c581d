"""Memora behind nginx as ``deploy/`` configures it: what is served, and to whom.

All tests share one stack and run in the order of this file.
"""

import gzip
import io
import json
import re
import secrets
import select
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.client import HTTPConnection
from typing import Any

import pytest
from PIL import Image

from memora_site import demo_client
from memora_site.demo_school import DEVICE_ID, PASSWORD, STUDENT_EMAIL
from tests.deploy.stack import CONFIG, Answer, Stack, nginx, running

pytestmark = pytest.mark.skipif(nginx() is None, reason="nginx is not installed")
BASE = "/files/memora_content/"
PLAN = "PLAN-DEMO-SCHOOL"
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 40


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def gated_entry(stack) -> dict[str, Any]:
    """A topic's entry of a gated lesson."""
    return next(entry for entry in _entries(stack) if entry.get("gated"))


@pytest.fixture(scope="module")
def open_entry(stack) -> dict[str, Any]:
    return next(entry for entry in _entries(stack) if not entry.get("gated"))


def _entries(stack: Stack) -> list[dict[str, Any]]:
    folder = stack.content / "plans" / PLAN
    documents = [json.loads(path.read_bytes()) for path in folder.glob("*.json")]
    return [
        entry
        for document in documents
        for entry in document.get("lessons", [])
        if "lesson_path" in entry
    ]


def token(stack: Stack, lesson_id: str, *, seconds: int = 600) -> str:
    """A URI that reads the lesson, with a token that was not used before."""
    url = stack.run(
        "import time; from publishing.signing import links; print(links.lesson_url("
        f"{lesson_id!r}, expires=int(time.time()) + {seconds}, "
        f"player_id={secrets.randbelow(10**9)}))"
    )
    return url.removeprefix(stack.site)


def until(ask: Callable[[], Any], expected: Any, *, seconds: float = 30) -> Any:
    """Call ``ask`` until it returns ``expected``; return its last value."""
    deadline = time.monotonic() + seconds
    while (answer := ask()) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def refused(answer: Answer) -> tuple[int, str]:
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.status, json.loads(answer.body)["error_code"]


def test_the_configuration_is_sound(stack):
    log = (stack.folder / "log" / "nginx.log").read_text()
    assert not re.search(r"\[(warn|emerg|alert|crit)\]", log)


def test_a_student_learns(stack):
    app = demo_client.StudentApp(stack.site, device_id=DEVICE_ID)
    lines = list(demo_client.play(app, email=STUDENT_EMAIL, password=PASSWORD))
    assert len(lines) >= 10


def test_published_files_are_open_cached_and_for_every_origin(stack):
    answer = stack.ask(f"{BASE}plans/{PLAN}/manifest.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body == (stack.content / f"plans/{PLAN}/manifest.json").read_bytes()
    again = stack.ask(
        f"{BASE}plans/{PLAN}/manifest.json",
        headers={"If-None-Match": answer.headers["etag"]},
    )
    assert (again.status, again.body) == (304, b"")


def test_a_file_s_validators_are_its_version_and_size(stack):
    uri = f"{BASE}plans/{PLAN}/manifest.json"
    answer = stack.ask(uri)
    version = json.loads(answer.body)["version"]
    assert answer.headers["etag"] == f'"{version:x}-{len(answer.body):x}"'
    assert answer.headers["last-modified"] == formatdate(version, usegmt=True)
    for since, status in ((version, 304), (version + 1, 200), (version - 1, 200)):
        headers = {"If-Modified-Since": formatdate(since, usegmt=True)}
        assert stack.ask(uri, headers=headers).status == status
    held = f'"other", W/{answer.headers["etag"]}'
    assert stack.ask(uri, headers={"If-None-Match": held}).status == 304


def test_clients_that_can_get_them_compressed(stack):
    plain = stack.ask(f"{BASE}plans/{PLAN}/search_index.json")
    packed = stack.ask(
        f"{BASE}plans/{PLAN}/search_index.json", headers={"Accept-Encoding": "gzip"}
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    again = stack.ask(
        f"{BASE}plans/{PLAN}/search_index.json",
        headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]},
    )
    assert again.status == 304


def test_the_copy_that_publishing_made_is_what_they_get(stack):
    folder = stack.content / "plans" / PLAN
    copy = max(folder.rglob("*.json.gz"), key=lambda path: path.stat().st_size)
    uri = f"{BASE}plans/{PLAN}/{copy.relative_to(folder).with_suffix('')}"
    packed = stack.ask(uri, headers={"Accept-Encoding": "gzip"})
    assert packed.body == copy.read_bytes()
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-length"] == str(len(packed.body))
    assert packed.headers["content-type"] == "application/json; charset=utf-8"
    assert packed.headers["vary"] == "Accept-Encoding"
    version = json.loads(gzip.decompress(packed.body))["version"]
    assert packed.headers["etag"] == f'"{version:x}-{len(packed.body):x}"'
    assert packed.headers["cache-control"] == "public, max-age=300"
    plain = stack.ask(uri)
    assert plain.body == gzip.decompress(packed.body)
    assert plain.headers["vary"] == "Accept-Encoding"
    assert stack.ask(f"{uri}.gz").status == 404
    tag = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]}
    assert stack.ask(uri, headers=tag).status == 304


def test_a_browser_may_ask_first(stack, open_entry):
    for path in (f"plans/{PLAN}/manifest.json", open_entry["lesson_path"]):
        answer = stack.ask(BASE + path, method="OPTIONS")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "If-None-Match" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("origin", "named"),
    [("https://app.example.org", True), ("https://evil.example", False)],
)
def test_a_web_app_is_named_before_it_may_call_the_api(stack, origin, named):
    preflight = stack.ask(
        "/api/v1/me/",
        method="OPTIONS",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,x-device-id",
        },
    )
    call = stack.ask("/api/v1/me/", headers={"Origin": origin})
    assert (preflight.status, call.status) == (200, 401)
    for answer in (preflight, call):
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (origin if named else None)
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_files_are_read_only(stack, method):
    answer = stack.ask(f"{BASE}plans/{PLAN}/manifest.json", method=method, body=b"{}")
    assert answer.status == 405


DENIED = [
    "plans/{plan}/manifest.json.prev",
    "plans/{plan}/search_index.json.gz",
    "lessons/{open}.json.prev",
    "lessons/{gated}.json.prev",
    "lessons/.{open}.json",
    ".open/{open}",
    ".open/{gated}",
    ".open",
    ".switches",
    ".generations/{plan}/1/manifest.json",
    "%2egenerations/{plan}/1/manifest.json",
    "plans/{plan}/../../.generations/{plan}/1/manifest.json",
    "plans/.{plan}.1/manifest.json",
    "plans/{plan}",
    "plans/{plan}/",
    "plans/",
    "lessons/",
    "",
    "plans/{plan}/manifest.json/",
    "plans/{plan}/..%2f..%2f..%2fstate%2fdb.sqlite3",
    "../state/db.sqlite3",
    "..%2fstate/secret_key",
    "plans/{plan}/manifest.json%00.json",
    "plans/{plan}/no-such.json",
    "lessons/no/such.json",
    "lessons/%2e%2e/plans/{plan}/manifest.txt",
    "plans/{plan}/manifest.json~",
    "plans/{plan}/.manifest.json",
]


@pytest.mark.parametrize("path", DENIED)
def test_other_names_are_not_there(stack, open_entry, gated_entry, path):
    backup = stack.content / f"lessons/{open_entry['id']}.json.prev"
    backup.write_bytes(b"{}")
    answer = stack.ask(
        BASE + path.format(plan=PLAN, open=open_entry["id"], gated=gated_entry["id"])
    )
    assert answer.status in (400, 404)
    assert b"manifest_url" not in answer.body


@pytest.mark.parametrize(
    "uri", ["/files/gate", "/files/", "/files/preflight", "/files/x", "/api-preflight"]
)
def test_what_is_between_us_is_not_there(stack, uri):
    headers = {"X-Original-URI": "/files/memora_content/lessons/x.json"}
    assert stack.ask(uri, headers=headers).status == 404


def test_an_open_lesson_is_read_by_anyone(stack, open_entry):
    answer = stack.ask(BASE + open_entry["lesson_path"])
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert json.loads(answer.body)["id"] == open_entry["id"]


def test_a_gated_lesson_is_read_with_its_token_only(stack, gated_entry):
    path = BASE + gated_entry["lesson_path"]
    assert refused(stack.ask(path)) == (403, "NOT_ENTITLED")
    uri = token(stack, gated_entry["id"])
    answer = stack.ask(uri)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(answer.body)["id"] == gated_entry["id"]
    other = next(
        entry["id"]
        for entry in _entries(stack)
        if entry.get("gated") and entry["id"] != gated_entry["id"]
    )
    for forged in (
        uri.replace(gated_entry["id"], other),
        uri.replace("expires=", "expires=9"),
        uri.replace("player=", "player=1"),
        f"{uri}&player=7",
        uri.replace("player=", "player=7&player="),
        uri[:-1] + ("0" if uri[-1] != "0" else "1"),
        uri.replace("/lessons/", "/lessons/../lessons/"),
        token(stack, gated_entry["id"], seconds=-1),
    ):
        assert refused(stack.ask(forged)) == (403, "NOT_ENTITLED")


def test_a_file_that_was_replaced_is_read_at_once(stack, open_entry, gated_entry):
    for lesson, uri in (
        (open_entry["id"], BASE + open_entry["lesson_path"]),
        (gated_entry["id"], token(stack, gated_entry["id"])),
    ):
        path = stack.content / f"lessons/{lesson}.json"
        published = path.read_bytes()
        assert stack.ask(uri).body == published
        for data in (b'{"version": 1}', b'{"version": 2}', published):
            replacement = path.with_name(".replacing")
            replacement.write_bytes(data)
            replacement.replace(path)
            assert stack.ask(uri).body == data


def test_a_lesson_that_is_not_there_is_not_there_with_a_token_either(stack):
    uri = token(stack, "LES-NONE")
    assert refused(stack.ask(uri)) == (404, "NOT_FOUND")
    assert refused(stack.ask(uri.partition("?")[0])) == (403, "NOT_ENTITLED")


def test_the_gate_is_asked_once_for_many_reads(stack, gated_entry):
    uri = token(stack, gated_entry["id"])
    assert stack.ask(uri).status == 200
    with stack.without_the_application():
        assert {stack.ask(uri).status for _ in range(20)} == {200}


def test_an_end_of_a_token_is_an_end_though_the_answer_was_kept(stack, gated_entry):
    uri = token(stack, gated_entry["id"], seconds=15)
    assert stack.ask(uri).status == 200
    end = re.search(r"expires=(\d+)", uri)
    assert end is not None
    time.sleep(max(0.0, int(end[1]) + 1 - time.time()))
    assert stack.ask(uri).status == 403


def test_switching_a_lesson_s_access_moves_it_at_once(stack, gated_entry):
    switch = (
        "from content.models import Node; from plans.models import AcademicPlan; "
        "from plans.services import set_override; "
        "from publishing.building import sweep; "
        f"lesson = Node.objects.get(public_id={gated_entry['id']!r}); "
    )
    path = BASE + gated_entry["lesson_path"]
    assert stack.ask(path).status == 403
    # The worker may build first; `process_pending` then has nothing to do.
    stack.run(
        switch + f"set_override(plan=AcademicPlan.objects.get(public_id={PLAN!r}), "
        "target=lesson, action='set_free'); "
        "sweep.process_pending(limit=10)"
    )
    assert until(lambda: stack.ask(path).status, 200) == 200
    stack.run(
        switch + "from plans.models import PlanOverride; "
        "PlanOverride.objects.filter(target=lesson, action='set_free').delete(); "
        "sweep.process_pending(limit=10)"
    )
    assert until(lambda: stack.ask(path).status, 403) == 403
    assert refused(stack.ask(path)) == (403, "NOT_ENTITLED")


@pytest.fixture(scope="module")
def video(stack) -> str:
    """The URI of a video that an editor stored."""
    path = stack.folder / "spool" / "درس.mp4"
    path.write_bytes(MP4)
    url = stack.run(
        "import time; from django.core.files import File; "
        "from django.utils import timezone; from publishing.signing import links, videos; "
        f"file = File(open({str(path)!r}, 'rb'), name='درس.mp4'); "
        "source = videos.store_video(file, now=timezone.now()); file.close(); "
        "print(links.video_url(source, expires=int(time.time()) + 600))"
    )
    return url.removeprefix(stack.site)


def test_a_video_plays_in_parts_with_its_signature_only(stack, video):
    whole = stack.ask(video)
    assert (whole.status, whole.body) == (200, MP4)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"] == "private, no-store"
    part = stack.ask(video, headers={"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, MP4[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(MP4)}"
    for uri in (
        video.partition("?")[0],
        video[:-1],
        video.replace(".mp4", ".mp3"),
        "/files/videos/",
        video.replace("/files/videos/", BASE),
    ):
        assert stack.ask(uri).status in (403, 404)


def test_other_names_beside_the_videos_are_not_there(stack, video):
    query = video.partition("?")[2]
    for path in ("../db.sqlite3", ".hidden", "..%2fdb.sqlite3", "%2e%2e/media/x"):
        assert stack.ask(f"/files/videos/{path}?{query}").status in (400, 403, 404)


def test_the_admin_has_its_files_and_its_headers(stack):
    page = stack.ask("/admin/login/")
    assert page.status == 200
    assert page.headers["x-frame-options"] == "DENY"
    found = re.search(rb'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', page.body)
    assert found is not None
    style = stack.ask(found[1].decode(), headers={"Accept-Encoding": "gzip"})
    assert style.status == 200
    assert style.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert style.headers["content-encoding"] == "gzip"


@pytest.fixture(scope="module")
def editor(stack) -> dict[str, str]:
    """The headers of a signed-in editor's script request."""
    session = stack.run(
        "from django.test import Client; from players.models import User; "
        "client = Client(); "
        "client.force_login(User.objects.get(email='editor@demo.memora')); "
        "print(client.cookies['sessionid'].value)"
    )
    csrf = "a" * 32
    return {"Cookie": f"sessionid={session}; csrftoken={csrf}", "X-CSRFToken": csrf}


def said_before_a_body(
    stack, uri: str, *, method: str = "POST", megabytes: int = 40, **headers: str
) -> tuple[int, str]:
    """The status and `Location` sent when a body is announced but not sent."""
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=20)
    try:
        connection.request(
            method,
            uri,
            headers={"Content-Length": str(megabytes * 1024**2), **headers},
        )
        answer = connection.getresponse()
        return answer.status, answer.headers.get("location", "")
    finally:
        connection.close()


SENDING = [
    "/admin/upload/image/",
    "/admin/content/exchange/curriculum/",
    "/admin/content/exchange/sheet/",
    "/admin/content/node/add/",
    "/admin/content/node/1/change/",
    "/admin/players/playerprofile/1/change/",
]


@pytest.mark.parametrize("uri", SENDING)
def test_nothing_large_is_taken_from_who_is_not_signed_in(stack, uri):
    asked = (302, f"/admin/login/?next={uri}")
    assert said_before_a_body(stack, uri) == asked
    assert said_before_a_body(stack, uri, Cookie="sessionid=invented") == asked


def test_a_video_of_who_is_not_signed_in_is_refused_as_an_error(stack):
    assert said_before_a_body(stack, "/admin/upload/video/") == (401, "")


@pytest.mark.parametrize("uri", ["/admin/login/", "/admin/", "/admin/nothing/here/"])
def test_nothing_large_is_taken_where_no_files_are_sent(stack, editor, uri):
    assert said_before_a_body(stack, uri, **editor)[0] == 413


def test_who_is_signed_in_is_not_asked_by_the_street(stack, editor):
    assert stack.ask("/admin/may-send", headers=editor).status == 404
    assert said_before_a_body(stack, "/admin/may-send", **editor)[0] == 404


def test_an_editor_uploads_a_video(stack, editor):
    video = MP4 + bytes(5 * 1024**2)
    kind = "multipart/form-data; boundary=cut"
    body = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
        b"Content-Type: video/mp4\r\n\r\n" + video + b"\r\n--cut--\r\n"
    )
    answer = stack.ask(
        "/admin/upload/video/",
        method="POST",
        body=body,
        headers={**editor, "Content-Type": kind},
    )
    assert answer.status == 200, answer.body
    source = json.loads(answer.body)["source"]
    assert (stack.folder / "state" / "videos" / source).read_bytes() == video


def test_pages_with_files_lead_who_is_not_signed_in_to_the_login(stack, editor):
    page = stack.ask("/admin/content/node/add/")
    assert page.status == 302
    assert page.headers["location"] == "/admin/login/?next=/admin/content/node/add/"
    assert stack.ask("/admin/content/node/add/", headers=editor).status == 200


def test_one_address_cannot_keep_the_admin_busy(stack):
    waiting: list[HTTPConnection] = []

    def waited_for() -> HTTPConnection:
        """A request whose body is never sent."""
        connection = HTTPConnection("127.0.0.1", stack.port, timeout=20)
        connection.putrequest("POST", "/admin/login/")
        connection.putheader("Content-Length", "1000")
        connection.endheaders()
        return connection

    def status_of_the_next() -> int:
        # A waiting request that has an answer was refused because an earlier one still
        # counted: replace it.
        for place, connection in enumerate(waiting):
            if select.select([connection.sock], [], [], 0)[0]:
                connection.close()
                waiting[place] = waited_for()
        return stack.ask("/admin/login/").status

    try:
        waiting.extend(waited_for() for _ in range(32))
        assert until(status_of_the_next, 429) == 429
        assert stack.ask("/healthz").status == 200
    finally:
        for connection in waiting:
            connection.close()
    assert until(lambda: stack.ask("/admin/login/").status, 200) == 200


def test_pictures_of_content_are_open_and_others_are_for_staff(stack):
    media = stack.folder / "state" / "media"
    for name in ("images/a.png", "photos/b.png", "images/.c.png"):
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).write_bytes(b"\x89PNG")
    picture = stack.ask("/media/images/a.png")
    assert (picture.status, picture.body) == (200, b"\x89PNG")
    assert picture.headers["content-security-policy"] == "sandbox; default-src 'none'"
    for path in ("photos/b.png", "images/.c.png", "images/", "images/../photos/b.png"):
        assert stack.ask(f"/media/{path}").status in (403, 404)


def test_a_photo_is_served_for_a_signed_link_and_never_without(stack):
    folder = stack.folder / "state" / "media" / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0a1b.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "other.jpg").write_bytes(b"\xff\xd8\xff")
    link = stack.run(
        "import time; from publishing.signing import links; "
        "print(links.photo_uri('0a1b.jpg', expires=int(time.time()) + 60, "
        "player_id=7))"
    )
    photo = stack.ask(link)
    assert (photo.status, photo.body) == (200, b"\xff\xd8\xff")
    assert photo.headers["content-type"] == "image/jpeg"
    assert photo.headers["cache-control"] == "private, no-store"
    assert photo.headers["content-security-policy"] == "sandbox; default-src 'none'"
    for refused in (
        "/files/photos/0a1b.jpg",
        link.replace("0a1b", "other"),
        link.replace("player=7", "player=8"),
        link.replace("/photos/", "/videos/"),
    ):
        assert stack.ask(refused).status == 403
    assert stack.ask("/media/photos/0a1b.jpg").status == 404


def test_a_student_sends_a_photo_and_nobody_else_a_large_body(stack):
    uri = "/api/v1/me/photo/"
    signed_in = stack.ask(
        "/api/v1/auth/login/",
        method="POST",
        headers={"X-Device-ID": str(DEVICE_ID), "Content-Type": "application/json"},
        body=json.dumps({"email": STUDENT_EMAIL, "password": PASSWORD}).encode(),
    )
    headers = {
        "Authorization": f"Bearer {json.loads(signed_in.body)['token']}",
        "X-Device-ID": str(DEVICE_ID),
        "Content-Type": "image/png",
    }
    picture = io.BytesIO()
    Image.effect_noise((1800, 1800), 90).save(picture, "PNG")
    assert len(picture.getvalue()) > 2 * 1024**2
    for path in (uri, uri.rstrip("/")):
        answer = stack.ask(path, method="PUT", headers=headers, body=picture.getvalue())
        assert answer.status == 200, answer.body
    # The link has the host of the request, without this stack's port.
    link = json.loads(answer.body)["photo_url"]
    photo = stack.ask(link.removeprefix("http://127.0.0.1"))
    assert (photo.status, photo.headers["content-type"]) == (200, "image/png")
    assert stack.ask(uri, method="DELETE", headers=headers).status == 204

    others = {**headers, "X-Device-ID": "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e"}
    for foreign in ({}, {**headers, "Authorization": "Bearer 1.invented"}, others):
        sent = {"method": "PUT", "megabytes": 5, **foreign}
        assert said_before_a_body(stack, uri, **sent) == (401, "")
        answer = stack.ask(uri, method="PUT", headers=foreign, body=b"picture")
        assert refused(answer) == (401, "NOT_AUTHENTICATED")
    assert stack.ask("/api/may-send", headers=headers).status == 404


def test_a_client_cannot_write_its_own_address(stack):
    body = json.dumps({"email": "nobody@example.org", "password": "wrong"}).encode()
    answer = stack.ask(
        "/api/v1/auth/login/",
        method="POST",
        body=body,
        headers={
            "Content-Type": "application/json",
            "X-Device-ID": "6f1f7c0e-5a3b-4c6e-9d2f-0d6b5e1a7c99",
            "X-Forwarded-For": "203.0.113.9",
        },
    )
    assert answer.status == 401
    known = stack.run(
        "from players.models import SecurityEvent; "
        "print(set(SecurityEvent.objects.values_list('ip_address', flat=True)))"
    )
    assert "127.0.0.1" in known
    assert "203.0.113.9" not in known


APP_LOGIN, ADMIN_LOGIN = "/api/v1/auth/login/", "/admin/login/"


def post(stack, uri: str, address: str) -> Answer:
    """Send an empty sign-in from ``address``; the server hashes no password for it."""
    return stack.ask(uri, method="POST", body=b"", headers={"X-Test-Client": address})


def first_refusal(stack, uri: str, address: str) -> tuple[int, Answer]:
    """How many sign-ins from ``address`` nginx let through, and its refusal."""
    for number in range(200):
        answer = post(stack, uri, address)
        if answer.status == 429:
            return number, answer
    raise AssertionError("nothing was refused")


def test_a_class_signs_in_at_once_and_a_flood_of_sign_ins_does_not(stack):
    passed, refused = first_refusal(stack, APP_LOGIN, "198.51.100.1")
    assert passed >= 40
    assert json.loads(refused.body)["error_code"] == "RATE_LIMITED"
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["retry-after"] == "5"
    assert post(stack, APP_LOGIN, "198.51.100.2").status == 400
    here = {"X-Test-Client": "198.51.100.1"}
    assert stack.ask("/api/v1/auth/session/", headers=here).status == 401
    # nginx limits POST only; the application answers OPTIONS without an origin with 405.
    asked = stack.ask(APP_LOGIN, method="OPTIONS", headers=here)
    assert asked.status == 405


@pytest.mark.parametrize("uri", [ADMIN_LOGIN, "/admin/password_change/"])
def test_a_staff_room_signs_in_at_once_and_a_flood_of_sign_ins_does_not(stack, uri):
    address = f"198.51.100.{10 + len(uri)}"
    passed, refused = first_refusal(stack, uri, address)
    assert passed >= 40
    assert "Too many requests at once" in refused.body.decode()
    assert post(stack, uri, "198.51.100.99").status in (302, 403)
    page = stack.ask(ADMIN_LOGIN, headers={"X-Test-Client": address})
    assert page.status == 200  # a GET of the form does not count


def test_a_sign_in_without_the_slash_has_the_same_limit(stack):
    bare = APP_LOGIN.rstrip("/")
    assert post(stack, bare, "198.51.100.60").status == 400
    first_refusal(stack, APP_LOGIN, "198.51.100.61")
    assert post(stack, bare, "198.51.100.61").status == 429


@pytest.mark.parametrize(
    "uri", ["auth/password-reset/", "auth/password-reset/confirm", "me/password/"]
)
def test_what_else_hashes_a_password_has_the_same_limit(stack, uri):
    address = f"198.51.100.{70 + len(uri)}"
    assert post(stack, f"/api/v1/{uri}", address).status in (400, 401)
    first_refusal(stack, APP_LOGIN, address)
    refused = post(stack, f"/api/v1/{uri}", address)
    assert (refused.status, refused.headers["retry-after"]) == (429, "5")


def test_an_ipv6_network_has_one_limit(stack):
    passed, _refused = first_refusal(stack, APP_LOGIN, "2001:db8:1:2::1")
    assert passed >= 40
    for neighbour in ("2001:db8:1:2::2", "2001:db8:1:2:ffff:ffff:ffff:ffff"):
        assert post(stack, APP_LOGIN, neighbour).status == 429
    assert post(stack, APP_LOGIN, "2001:db8:1:3::1").status == 400


def test_ipv4_addresses_in_ipv6_form_are_as_many_addresses(stack):
    first_refusal(stack, APP_LOGIN, "::ffff:198.51.100.50")
    assert post(stack, APP_LOGIN, "198.51.100.50").status == 429
    assert post(stack, APP_LOGIN, "::ffff:198.51.100.51").status == 400


def test_a_school_of_800_behind_one_address_signs_in_within_five_minutes():
    config = (CONFIG / "memora.conf").read_text()
    rate = re.search(r"zone=memora_app_login:\w+ rate=(\d+)r/s;", config)
    burst = re.search(r"limit_req zone=memora_app_login burst=(\d+) nodelay;", config)
    assert rate is not None
    assert burst is not None
    assert int(rate[1]) * 300 + int(burst[1]) >= 800


def test_metrics_are_not_for_the_street(stack):
    assert stack.ask("/metrics").status in (401, 403, 404)


def test_while_the_application_is_down_what_is_open_is_read_and_nothing_else(
    stack, open_entry, gated_entry, video
):
    uri = token(stack, gated_entry["id"])
    with stack.without_the_application():
        assert stack.ask(BASE + open_entry["lesson_path"]).status == 200
        assert stack.ask(f"{BASE}plans/{PLAN}/manifest.json").status == 200
        assert refused(stack.ask(uri)) == (503, "SERVICE_UNAVAILABLE")
        assert refused(stack.ask(f"{video}&x=1")) == (503, "SERVICE_UNAVAILABLE")
    assert stack.ask(uri).status == 200


def test_while_nobody_listens_the_app_gets_json_and_people_a_page(stack):
    with stack.after_the_application_died():
        app = stack.ask("/api/v1/auth/session/")
        page = stack.ask("/admin/")
    assert (app.status, json.loads(app.body)["error_code"]) == (
        503,
        "SERVICE_UNAVAILABLE",
    )
    assert page.status == 503
    for answer in (app, page):
        assert answer.headers["retry-after"] == "5"
        assert answer.headers["cache-control"] == "no-store"
    text = page.body.decode()
    assert 'lang="ar" dir="rtl"' in text
    assert "ما حُفظ محفوظ" in text
    assert "Saved data is safe" in text


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("/admin/content/", ["الطلب أكبر من المسموح", "The request is too large"]),
        ("/api/v1/auth/login/", ['"error_code":"PAYLOAD_TOO_LARGE"']),
    ],
)
def test_what_is_too_large_is_refused_in_words(stack, uri, words):
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=20)
    try:
        connection.request("POST", uri, headers={"Content-Length": str(40 * 1024**2)})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    assert answer.status == 413
    for word in words:
        assert word in text


def test_no_token_is_in_any_log_and_whose_link_it_was_is(stack, gated_entry, video):
    uri = token(stack, gated_entry["id"])
    stack.ask(uri)
    stack.ask(uri.replace(gated_entry["id"], "LES-NONE"))
    player = re.search(r"player=(\d+)", uri)
    assert player is not None
    # nginx flushes its buffers when its workers process the signal.
    assert until(lambda: f'player="{player[1]}"' in stack.logs(), True)
    logs = stack.logs()
    assert f'GET {BASE}{gated_entry["lesson_path"]}"' in logs
    for secret in (uri, video):
        assert secret.partition("token=")[2] not in logs
    assert not re.search(r"token=[0-9a-f]{16}", logs)


def test_beat_sends_work_and_the_worker_does_it_and_gives_signs_of_its_own(stack):
    signs = (
        "import time; from publishing import queue; end = time.time() + 120\n"
        "def seen():\n"
        "    worker, beat = queue.last_heartbeats()\n"
        "    return bool(worker and beat and worker > beat)\n"
        "while not seen() and time.time() < end: time.sleep(1)\n"
        "print(seen())"
    )
    assert stack.run(signs) == "True"
    log = "".join(
        (stack.folder / "log" / f"{name}.log").read_text()
        for name in ("worker", "beat")
    )
    assert not re.search(r"\b(ERROR|CRITICAL|Traceback)\b", log), log
