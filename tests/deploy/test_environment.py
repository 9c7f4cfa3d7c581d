"""Check ``deploy/`` and its documentation against a shell and the application.

The shell reads ``/etc/memora/memora.env`` as docs/deploy.md describes.
"""

import json
import re
import shlex
import subprocess

from django.contrib import admin
from django.db.models import FileField
from django.urls import reverse

from content import curriculum_format
from core.admin_mixins import ReadOnlyAdmin
from publishing.admin_views import live_preview_views
from tests.deploy.stack import BASE, CONFIG


def sourced(file: str, name: str) -> str:
    """The value of a variable after `set -a; . FILE`."""
    script = f'set -a; . /dev/stdin; printf %s "${name}"'
    done = subprocess.run(
        ["bash", "-c", script], input=file, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout


def test_the_documented_storage_reaches_the_commands_as_it_reaches_the_services():
    page = (BASE / "docs/runbooks/cdn-setup.md").read_text()
    (line,) = re.findall(r"^MEMORA_CDN_STORAGES=.+$", page, re.M)
    value = sourced(line, "MEMORA_CDN_STORAGES")
    assert json.loads(value)["cdn"]["OPTIONS"]["bucket_name"] == "memora"
    # systemd also removes the quotes, and changes nothing else.
    assert line == f"MEMORA_CDN_STORAGES={shlex.quote(value)}"


def test_the_example_is_sourced_without_a_complaint():
    example = (BASE / ".env.example").read_text()
    assert sourced(example, "MEMORA_SITE_URL") == "https://api.example.org"


# --- Body sizes in nginx --------------------------------------------------------------


def sizes() -> dict[str, int]:
    """The largest body, in bytes, of each location that takes files, by its pattern."""
    config = (CONFIG / "memora.conf").read_text()
    found = re.findall(
        r"location (?:[~=] )?(\S+) \{\s+client_max_body_size (\d+)m;", config
    )
    return {pattern: int(size) * 1024**2 for pattern, size in found}


def test_every_form_of_the_admin_with_a_file_is_one_where_nginx_takes_files():
    (files,) = [pattern for pattern in sizes() if pattern.startswith("^/admin/")]
    forms = [
        reverse(
            f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=a
        )
        for model, model_admin in admin.site._registry.items()
        if not isinstance(model_admin, ReadOnlyAdmin)
        and any(isinstance(field, FileField) for field in model._meta.fields)
        for page, a in (("add", []), ("change", [7]))
    ]
    others = ["upload_image", "import_curriculum", "import_sheet"]
    media = [
        reverse("admin:content_mediafile_add"),
        *(
            reverse(f"admin:content_mediafile_{page}", args=[7])
            for page in ("replace", "captions")
        ),
    ]
    addresses = [*forms, *media, *(reverse(f"admin:{name}") for name in others)]
    assert len(addresses) >= 5
    assert [uri for uri in addresses if not re.fullmatch(files, uri)] == []


def test_nginx_takes_a_little_more_than_the_application(settings):
    taken = sizes()
    (files,) = [
        size for pattern, size in taken.items() if pattern.startswith("^/admin/")
    ]
    (photo,) = [
        size for pattern, size in taken.items() if pattern.startswith("^/api/v1/me/")
    ]
    assert photo > settings.PICTURE_MAX_BYTES
    # A lesson's page posts the most, to the location of files; previews come next.
    assert taken["/admin/"] > live_preview_views.MAX_BYTES
    assert files > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert files > max(curriculum_format.MAX_BYTES, settings.PICTURE_MAX_BYTES)
    assert taken[reverse("admin:upload_video")] > settings.VIDEO_MAX_BYTES
