"""``manage.py check`` refuses an unsafe production configuration."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.checks import CheckMessage

from memora_site import checks
from progress.days_off import WEEKDAYS

SOUND_KEY = "kX9fQ2mV7bT4wZ1nR8sL5dJ0hG3cY6pAaEeUuIiOo_-BqWvNzMxCrTt"


@pytest.fixture
def sound(monkeypatch, tmp_path: Path) -> SimpleNamespace:
    """A production configuration without faults."""
    content, static = tmp_path / "content", tmp_path / "static"
    state = tmp_path / "state"
    content.mkdir()
    static.mkdir()
    (static / "staticfiles.json").write_text("{}")
    sound = SimpleNamespace(
        ENVIRONMENT="production",
        PRODUCTION=True,
        STREAK_TIME_ZONE="Asia/Riyadh",
        STREAK_FREEZE_EVERY_DAYS=7,
        STREAK_MOST_FREEZES=2,
        SEASON_CARRIES=["xp"],
        STREAK_DAYS_OFF=["fri", "sat", "2026-12-25", "2027-07-01/2027-08-31"],
        CONTENT_SOURCE="disk",
        SESSION_IDLE_DAYS=90,
        SESSION_MAX_DAYS=400,
        DEVICE_REPLACEMENTS=0,
        DEVICE_REPLACEMENT_COOLING_HOURS=72,
        ERASED_LEDGER="delete",
        REVIEW_RETENTION=0.9,
        REVIEW_MAXIMUM_DAYS=365,
        REVIEW_LEARNING_MINUTES=[1, 10],
        REVIEW_RELEARNING_MINUTES=[],
        REVIEW_WEIGHTS=[],
        REVIEW_LEECH_FAILURES=8,
        REVIEW_SESSION_GAP_MINUTES=15,
        XP_REVIEW_SESSIONS_PER_DAY=5,
        MIN_APP_VERSION="1.2.3",
        APP_STORE_URLS={"": "https://memora.example/app", "ios": "", "android": ""},
        SECRET_KEY=SOUND_KEY,
        DEBUG=False,
        ALLOWED_HOSTS=["api.example.org"],
        DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "USER": "memora"}},
        EMBEDDED_REDIS=False,
        REDIS_URL="redis://:password@cache:6379/0",
        CELERY_BROKER_URL="redis://:password@cache:6379/1",
        TRUSTED_PROXIES=1,
        SECRETS_KEYS=["key"],
        SITE_URL="https://api.example.org",
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        DEFAULT_FROM_EMAIL="Memora <memora@example.org>",
        CONTENT_ROOT=content,
        STATIC_ROOT=static,
        STATE_DIR=state,
        MEDIA_ROOT=state / "media",
        VIDEO_ROOT=state / "videos",
    )
    monkeypatch.setattr(checks, "settings", sound)
    return sound


def found() -> list[CheckMessage]:
    return [*checks.check_environment(), *checks.check_production()]


def test_a_sound_production_has_nothing_to_object_to(sound):
    assert found() == []


def test_the_embedded_default_has_nothing_to_object_to():
    assert found() == []


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("ENVIRONMENT", "staging", "memora.E001"),
        ("CONTENT_SOURCE", "cdn", "memora.E050"),
        ("SESSION_IDLE_DAYS", 0, "memora.E020"),
        ("SESSION_MAX_DAYS", 89, "memora.E020"),
        ("DEVICE_REPLACEMENTS", -1, "memora.E043"),
        ("DEVICE_REPLACEMENT_COOLING_HOURS", -1, "memora.E043"),
        ("ERASED_LEDGER", "keep", "memora.E040"),
        ("REVIEW_SESSION_GAP_MINUTES", 0, "memora.E060"),
        ("REVIEW_RETENTION", 1.0, "memora.E062"),
        ("REVIEW_MAXIMUM_DAYS", 0, "memora.E062"),
        ("REVIEW_LEARNING_MINUTES", [1, -10], "memora.E062"),
        ("REVIEW_RELEARNING_MINUTES", [2000], "memora.E062"),
        ("REVIEW_WEIGHTS", [0.5] * 20, "memora.E062"),
        ("REVIEW_WEIGHTS", [500] * 21, "memora.E062"),
        ("REVIEW_LEECH_FAILURES", 0, "memora.E063"),
        ("XP_REVIEW_SESSIONS_PER_DAY", -1, "memora.E061"),
        ("MIN_APP_VERSION", "1.2", "memora.E041"),
        ("MIN_APP_VERSION", "ios/1.2.3", "memora.E041"),
        ("APP_STORE_URLS", {"": "http://memora.example/app"}, "memora.E042"),
        ("APP_STORE_URLS", {"": "", "ios": "https://"}, "memora.E042"),
        ("STREAK_TIME_ZONE", "Mars/Olympus", "memora.E002"),
        ("STREAK_TIME_ZONE", "../etc/passwd", "memora.E002"),
        ("STREAK_TIME_ZONE", "", "memora.E002"),
        ("STREAK_FREEZE_EVERY_DAYS", -1, "memora.E044"),
        ("STREAK_MOST_FREEZES", 366, "memora.E044"),
        ("SEASON_CARRIES", ["xp", "hearts"], "memora.E064"),
        ("STREAK_DAYS_OFF", ["friday"], "memora.E045"),
        ("STREAK_DAYS_OFF", ["2027-02-30"], "memora.E045"),
        ("STREAK_DAYS_OFF", ["2027-08-31/2027-07-01"], "memora.E045"),
        ("STREAK_DAYS_OFF", [*WEEKDAYS], "memora.E045"),
        ("SECRET_KEY", "", "memora.E003"),
        ("SECRET_KEY", SOUND_KEY[:49], "memora.E004"),
        ("SECRET_KEY", "ab" * 40, "memora.E004"),
        ("SECRET_KEY", f"django-insecure-{SOUND_KEY}", "memora.E004"),
        ("DEBUG", True, "memora.E005"),
        ("ALLOWED_HOSTS", [], "memora.E006"),
        ("ALLOWED_HOSTS", ["api.example.org", "*"], "memora.E007"),
        (
            "DATABASES",
            {"default": {"ENGINE": "django.db.backends.sqlite3"}},
            "memora.E008",
        ),
        ("EMBEDDED_REDIS", True, "memora.E009"),
        ("SITE_URL", "http://api.example.org", "memora.E010"),
        ("SITE_URL", "https://", "memora.E010"),
        (
            "EMAIL_BACKEND",
            "django.core.mail.backends.console.EmailBackend",
            "memora.E011",
        ),
        ("CONTENT_ROOT", "/nowhere/at/all", "memora.E012"),
        (
            "DATABASES",
            {"default": {"ENGINE": "django.db.backends.mysql", "USER": "root"}},
            "memora.E014",
        ),
        ("REDIS_URL", "redis://cache:6379/0", "memora.E015"),
        ("REDIS_URL", "rediss://memora@cache:6379/0", "memora.E015"),
        ("CELERY_BROKER_URL", "redis://127.0.0.1:6379/1", "memora.E015"),
        ("TRUSTED_PROXIES", 0, "memora.E016"),
        ("SECRETS_KEYS", [], "memora.W003"),
        ("DEFAULT_FROM_EMAIL", "memora@localhost", "memora.W001"),
        ("STATIC_ROOT", "/nowhere/at/all", "memora.W002"),
    ],
)
def test_an_unsafe_setting_is_refused_with_a_hint(sound, setting, value, expected):
    setattr(sound, setting, value)

    [message] = found()

    assert message.id == expected
    assert message.hint
    assert message.is_serious() is expected.startswith("memora.E")


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("VIDEO_ROOT", "content"),
        ("VIDEO_ROOT", "content/videos"),
        ("VIDEO_ROOT", "state/../content/videos"),
        ("VIDEO_ROOT", "static/videos"),
        ("VIDEO_ROOT", "state/media/videos"),
        ("VIDEO_ROOT", "state"),
        ("VIDEO_ROOT", "."),
        ("STATE_DIR", "content/state"),
        ("STATE_DIR", "static"),
        ("CONTENT_ROOT", "static"),
        ("CONTENT_ROOT", "."),
        ("STATIC_ROOT", "content"),
    ],
)
def test_folders_that_lie_in_each_other_are_refused(sound, tmp_path, setting, place):
    setattr(sound, setting, tmp_path / place)
    [message] = [one for one in found() if one.id == "memora.E017"]
    assert message.is_serious()
    assert str(tmp_path) in message.msg


def test_a_private_folder_behind_a_link_is_found(sound, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "content")
    sound.VIDEO_ROOT = tmp_path / "link" / "videos"
    assert [message.id for message in found()] == ["memora.E017"]


def test_a_redis_behind_a_socket_needs_no_password(sound):
    sound.REDIS_URL = "unix:///run/redis/redis.sock?db=0"
    sound.CELERY_BROKER_URL = "redis+socket:///run/redis/redis.sock?virtual_host=0"
    assert found() == []


def test_a_content_root_of_somebody_else_is_refused(sound, monkeypatch):
    monkeypatch.setattr(checks.os, "access", lambda *_args: False)

    assert [message.id for message in found()] == ["memora.E013"]


def test_the_messages_hold_no_secret(sound):
    sound.SECRET_KEY = "hunter2"

    [message] = found()

    assert "hunter2" not in f"{message.msg}{message.hint}"


def test_production_with_nothing_configured_is_refused_by_the_command(tmp_path):
    keep = ("PATH", "HOME", "LANG", "PYTHONPATH")
    environment = {name: os.environ[name] for name in keep if name in os.environ}

    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=Path(__file__).parents[2],
        env={
            **environment,
            "MEMORA_ENVIRONMENT": "production",
            "MEMORA_STATE_DIR": str(tmp_path),
            "MEMORA_CONTENT_ROOT": str(tmp_path / "missing"),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for number in (3, 6, 8, 9, 10, 11, 12):
        assert f"memora.E{number:03}" in result.stderr


def test_each_id_names_one_check():
    root = Path(__file__).parents[2]
    used = Counter(
        found
        for app in apps.get_app_configs()
        if Path(app.path).parent == root
        for source in sorted(Path(app.path).rglob("*.py"))
        for found in re.findall(r'\bid="(\w+\.[A-Z]\d{3})"', source.read_text())
    )
    assert {"memora.E001", "publishing.E001"} <= used.keys()
    assert [found for found, times in used.items() if times > 1] == []
