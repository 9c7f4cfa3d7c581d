"""Export a subject as a curriculum file, or as a ZIP with its media."""

import zipfile
from typing import IO, Any
from urllib.parse import quote

import orjson
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _

from content.curriculum.loading import StoredNode, StoredSubject, load
from content.curriculum_format import CHILDREN_KEY, FORMAT, NODE_DEFAULTS
from content.field_lists import SubjectStateFields
from content.hooks import video_store
from content.kinds import Kind
from content.media import files, references
from content.media.references import Reference, Use, is_external
from content.models import MediaKind, Node, SubjectState
from core.errors import MemoraError


class SubjectNotFoundError(MemoraError):
    """No subject has this id, or it is in the trash."""

    code = "NOT_FOUND"


def export_curriculum(subject_id: str) -> bytes:
    """Return the subject's curriculum file, without trash, as indented UTF-8 JSON.

    Raises:
        SubjectNotFoundError: no subject has this id, or it is in the trash.
    """
    return _encoded(_document(subject_id))


def export_archive(subject_id: str, file: IO[bytes]) -> None:
    """Write a ZIP of the curriculum file and the media on this server.

    Addresses of files that are not here, such as videos in the bucket, are unchanged.

    Raises:
        SubjectNotFoundError: no subject has this id, or it is in the trash.
        OSError: a file cannot be read or written.
    """
    document = _document(subject_id)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as opened:
        _with_media(document["subject"], opened, set())
        opened.writestr(
            f"{subject_id}.curriculum.json", _encoded(document), zipfile.ZIP_DEFLATED
        )


def _encoded(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _document(subject_id: str) -> dict[str, Any]:
    subject = Node.objects.subjects().filter(public_id=subject_id).first()
    if subject is None:
        raise SubjectNotFoundError(_("There is no subject “%s”.") % subject_id)
    if subject.trashed_at is not None:
        raise SubjectNotFoundError(
            _("The subject “%s” is in the trash. Restore it first.") % subject_id
        )
    stored = load(subject.pk)
    by_pk = stored.by_pk()
    states = SubjectState.objects.filter(pk=subject.pk)
    head = states.values(*SubjectStateFields.HEADER).first() or {}
    return {
        "format": FORMAT,
        **{key: value for key, value in head.items() if value},
        "subject": _exported(by_pk[subject.pk], stored, by_pk),
    }


def _exported(
    node: StoredNode, stored: StoredSubject, by_pk: dict[int, StoredNode]
) -> dict[str, Any]:
    kind = Kind(node.kind)
    data: dict[str, Any] = {"id": node.id, "title": node.fields["title"]}
    for key, default in NODE_DEFAULTS.items():
        if key == "is_published" or node.fields[key] != default:
            data[key] = node.fields[key]
    if kind is Kind.LESSON:
        data["base_xp"] = node.fields["base_xp"]
        data["bit_index"] = node.bit_index
        data["stages"] = [
            {"id": stage.id, **stage.fields}
            for stage in stored.stages_of.get(node.pk, ())
        ]
        return data
    data[CHILDREN_KEY[kind]] = [
        _exported(by_pk[pk], stored, by_pk)
        for pk in stored.children.get(node.pk, ())
        if not by_pk[pk].is_trashed
    ]
    return data


def _with_media(
    node: dict[str, Any], opened: zipfile.ZipFile, written: set[str]
) -> None:
    """Write the media of a node and its descendants, and make their paths relative."""
    if image := node.get("image"):
        node["image"] = _written_public(image, opened, written) or image
    for stage in node.get("stages", ()):

        def relative(reference: Reference) -> str:
            address = reference.address
            if reference.use is Use.VIDEO and not address.startswith("/"):
                return _written_video(address, opened, written) or address
            path = files.public_path(address)
            name = _written_public(path, opened, written) if path else ""
            return quote(name) if name else address

        stage["config"] = references.changed(stage["type"], stage["config"], relative)
    for key in CHILDREN_KEY.values():
        if key != "stages":
            for child in node.get(key, ()):
                _with_media(child, opened, written)


def _written_public(path: str, opened: zipfile.ZipFile, written: set[str]) -> str:
    """Return the name of a public file in the ZIP; "" if it is not here."""
    name = f"media/{path}"
    if name in written:
        return name
    if (
        is_external(path)
        or not files.is_readable(path)
        or files.kind_of(path) is None
        or files.missing(MediaKind.PICTURE, [path])
    ):
        return ""
    with default_storage.open(path) as file:
        _write(file, name, opened, written)
    return name


def _written_video(source: str, opened: zipfile.ZipFile, written: set[str]) -> str:
    """Return the name of a video in the ZIP; "" if it is not on this server."""
    name = f"videos/{source}"
    if name in written:
        return name
    file = None if is_external(source) else video_store.only.open(source)
    if file is None:
        return ""
    with file:
        _write(file, name, opened, written)
    return name


def _write(
    file: "File[Any]", name: str, opened: zipfile.ZipFile, written: set[str]
) -> None:
    with opened.open(name, "w", force_zip64=True) as target:
        for chunk in file.chunks():
            target.write(chunk)
    written.add(name)
