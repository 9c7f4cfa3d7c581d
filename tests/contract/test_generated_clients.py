"""Clients that tools generate from the schema play a student's day."""

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from tests.contract.conftest import EMAIL, ITEM, LESSON, NEXT_LESSON, PASSWORD, SUBJECT

STORY = Path(__file__).parent / "typescript"
CACHE = settings.BASE_DIR / "var" / "cache"


def run(*command: str, cwd: Path, **variables: str) -> str:
    """Run a command; its output is the message of a failure."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PATH": path} | variables,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def schema(server: str, client, tmp_path: Path) -> Path:
    """The schema in a file."""
    file = tmp_path / "schema.json"
    file.write_bytes(client.get("/api/v1/schema/?format=json").content)
    return file


# --- Python -------------------------------------------------------------------------


@pytest.fixture
def memora(schema: Path, tmp_path: Path, monkeypatch) -> Any:
    """The client of openapi-python-client: its functions, models and classes by name."""
    pytest.importorskip("openapi_python_client", reason="needs requirements/dev.txt")
    out = run(
        *("openapi-python-client", "generate", "--path", str(schema)),
        *("--meta", "none", "--output-path", "memora_client"),
        cwd=tmp_path,
    )
    # It knows no other bodies than JSON and forms; a photo may be sent as either.
    assert out.count("WARNING") == out.count("Unsupported content type image/*") == 1
    monkeypatch.syspath_prepend(tmp_path)
    found: dict[str, Any] = {}
    for file in (tmp_path / "memora_client" / "api").glob("*/*.py"):
        if file.stem != "__init__":
            name = f"memora_client.api.{file.parent.name}.{file.stem}"
            found[file.stem] = importlib.import_module(name)
    models = importlib.import_module("memora_client.models")
    yield SimpleNamespace(
        **found, models=models, **vars(importlib.import_module("memora_client.client"))
    )
    for name in [name for name in sys.modules if name.startswith("memora_client")]:
        del sys.modules[name]


def test_a_python_client_plays_a_student_s_day(
    server: str, lina, memora: Any, request: pytest.FixtureRequest
):
    models = memora.models
    headers = {"Accept-Language": "en"}
    device_id = str(uuid4())
    visitor = memora.Client(base_url=server, headers=headers)
    request.addfinalizer(visitor.get_httpx_client().close)

    def sign_in(password: str) -> Any:
        body = models.SignInBody(email=EMAIL, password=password)
        return memora.sign_in.sync(client=visitor, body=body, x_device_id=device_id)

    wrong = sign_in("wrong")
    assert isinstance(wrong, models.InvalidCredentialsError)
    signed_in = sign_in(PASSWORD)
    assert isinstance(signed_in, models.SignedIn)
    assert (signed_in.player.name, signed_in.plan.id) == ("Lina", "PLAN-5")
    app = memora.AuthenticatedClient(
        base_url=server,
        token=signed_in.token,
        headers=headers | {"X-Device-ID": device_id},
    )
    request.addfinalizer(app.get_httpx_client().close)
    assert memora.get_session.sync(client=app).valid
    assert memora.check_device.sync(client=app).device_count == 1
    assert memora.get_me.sync(client=app).grade is None
    content = memora.get_content.sync(client=app)
    manifest = app.get_httpx_client().get(content.manifest_url).json()
    assert manifest["subjects"][0]["id"] == SUBJECT

    tree = memora.get_progress.sync(SUBJECT, client=app)
    topic = tree.root.children[0].children[0].children[0]
    assert [str(lesson.status) for lesson in topic.children] == ["unlocked", "locked"]
    assert str(topic.children[1].locked_reason) == "previous"

    def complete(lesson_id: str, key: str = "") -> Any:
        return memora.complete_lesson.sync(
            lesson_id,
            client=app,
            body=models.CompletionBody(hearts=4),
            idempotency_key=key or str(uuid4()),
        )

    locked = complete(NEXT_LESSON)
    assert isinstance(locked, models.NotUnlockedError)
    assert locked.details.next_lesson_id == LESSON
    completed = complete(LESSON, "one")
    assert isinstance(completed, models.CompletionResult)
    assert completed.unlocked == [NEXT_LESSON]
    assert str(completed.streak.action) == "started"
    assert complete(LESSON, "one") == completed

    assert memora.get_reviews.sync(client=app).due == 1
    (item,) = memora.get_due_reviews.sync(client=app, limit=5).items
    assert (item.item_id, item.last_reviewed_at) == (ITEM, None)
    rating = models.Rating(item_id=item.item_id, lesson_id=item.lesson_id, rating=3)
    accepted = memora.submit_reviews.sync(
        client=app, body=models.RatingsBody(reviews=[rating])
    )
    assert accepted.reviews[0].due_at > item.due_at
    assert accepted.xp_earned == 3

    wallet = memora.get_wallet.sync(client=app)
    assert wallet.total_xp == completed.new_total_xp + accepted.xp_earned
    assert wallet.current_streak == 1
    assert wallet.streak_ends_at > wallet.last_played_at
    assert isinstance(memora.sign_out.sync(client=app), models.SignedOut)
    refused = memora.get_wallet.sync(client=app)
    assert isinstance(refused, models.SessionSignedOutError)


# --- TypeScript ---------------------------------------------------------------------


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The pinned packages of the story, installed once into a cache folder."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    lock = (STORY / "package-lock.json").read_bytes()
    folder = CACHE / f"npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(STORY / name, folder)
        run(*("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"), cwd=folder)
        (folder / "complete").touch()
    return folder / "node_modules"


def test_a_typescript_client_plays_a_student_s_day(
    server: str, lina, schema: Path, node_modules: Path, tmp_path: Path
):
    for name in ("package.json", "tsconfig.json", "story.ts"):
        shutil.copy(STORY / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    tool = node_modules / ".bin"
    run(
        str(tool / "openapi-typescript"), schema.name, "-o", "schema.d.ts", cwd=tmp_path
    )
    run(str(tool / "tsc"), cwd=tmp_path)
    done = run(
        *("node", "story.js"),
        cwd=tmp_path,
        SERVER=server,
        EMAIL=EMAIL,
        PASSWORD=PASSWORD,
    )
    assert done == "done\n"
