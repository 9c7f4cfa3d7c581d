"""Replace the relative paths of an imported file by the addresses of stored files."""

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from typing import Any

from django.utils.translation import gettext as _

from content.curriculum.archive import Archive
from content.curriculum.loading import StoredSubject
from content.curriculum_format import NodeSpec, StageSpec
from content.json_errors import Fault, Path
from content.media import faults, files, references, webvtt
from content.media.references import Reference, Use, is_external
from content.models import MediaFile, MediaKind
from content.stage_types import SCHEMAS
from core.errors import MemoraError


class ArchivedMedia:
    """Stores the media of a ZIP that a file refers to, each once.

    Args:
        new: notes the files that were written.
        dry_run: check the files, but store none.
    """

    def __init__(self, archive: Archive, new: files.NewFiles, *, dry_run: bool) -> None:
        self._archive = archive
        self._new = new
        self._dry_run = dry_run
        self._media: dict[tuple[str, MediaKind], MediaFile | str] = {}
        self._faults: list[Fault] = []

    def store(self, specs: Sequence[NodeSpec]) -> list[Fault]:
        """Store the files and write their addresses into ``specs``.

        Paths without an entry stay: `missing` names them.

        Returns:
            A fault for each place whose file cannot be stored.
        """
        for spec in specs:
            image = spec.fields["image"]
            if isinstance(image, str):
                path = (*spec.path, "image")
                is_here = (
                    image and not is_external(image) and not faults.of_image(image)
                )
                if not is_here:
                    spec.fields["image"] = self._address(
                        path, image, Use.PICTURE, lambda media: media.path
                    )
            for stage in spec.stages:
                self._store_of_stage(stage)
        return self._faults

    def _store_of_stage(self, stage: StageSpec) -> None:
        type_name, config = stage.fields["type"], stage.fields["config"]
        if not isinstance(type_name, str) or not isinstance(config, dict):
            return

        def new_address(reference: Reference) -> str:
            path = (*stage.path, "config", *reference.path)
            return self._address(path, reference.address, reference.use, files.address)

        config = references.changed(type_name, config, new_address)
        if type_name == "Video":
            self._read_captions(stage, config)
        stage.fields["config"] = config

    def _address(
        self,
        path: Path,
        address: str,
        use: Use,
        address_of: Callable[[MediaFile], str],
    ) -> str:
        if not address or is_external(address) or address.startswith("/"):
            return address
        name = references.file_name(address)
        kind = files.kind_of(name) if use is Use.LINK else MediaKind(use.value)
        key = None if kind is None else self._archive.find(name)
        if kind is None or key is None:
            # A stored video has a relative path, too; `missing` looks for it.
            if use in (Use.PICTURE, Use.AUDIO):
                reason = _("there is no file “%(file)s” in the ZIP") % {"file": name}
                self._faults.append((path, reason))
            return address
        media = self._media.get((key, kind))
        if media is None:
            media = self._media[key, kind] = self._stored(key, kind)
        if isinstance(media, str):
            self._faults.append((path, f"“{name}”: {media}"))
            return address
        return address_of(media)

    def _stored(self, key: str, kind: MediaKind) -> MediaFile | str:
        """Return the row of the stored file, or why it cannot be stored."""
        try:
            with self._archive.open(key) as file:
                return files.add(file, kind=kind, new=self._new, dry_run=self._dry_run)
        except MemoraError as error:
            return error.message

    def _read_captions(self, stage: StageSpec, config: dict[str, Any]) -> None:
        """Replace the WebVTT files of the ZIP by their cues."""
        tracks = config.get("captions")
        for index, track in enumerate(tracks if isinstance(tracks, list) else ()):
            url = track.get("url") if isinstance(track, dict) else None
            if not isinstance(url, str) or is_external(url):
                continue
            key = self._archive.find(references.file_name(url))
            if key is None:
                continue
            try:
                with self._archive.open(key) as file:
                    track["cues"] = webvtt.parse(file.read())
                del track["url"]
            except (webvtt.WebVTTError, MemoraError) as error:
                path = (*stage.path, "config", "captions", index, "url")
                self._faults.append((path, f"“{url}”: {error}"))


def missing(
    specs: Sequence[NodeSpec],
    stored: StoredSubject,
    *,
    known: Set[Path],
    expected: Collection[str] = (),
) -> Iterator[Fault]:
    """Yield a fault for each file of a new or changed node or stage that is missing.

    Args:
        known: the places that have a fault already.
        expected: paths of files that a dry run would store.
    """
    changed: list[StageSpec] = []
    for spec in specs:
        node = stored.nodes.get(spec.id)
        image = spec.fields["image"]
        if isinstance(image, str) and (node is None or node.fields["image"] != image):
            path = (*spec.path, "image")
            reason = "" if image in expected else faults.of_image(image)
            if reason and path not in known:
                yield path, reason
        for stage in spec.stages:
            found = stored.stages.get(stage.id)
            config = stage.fields["config"]
            is_readable = isinstance(config, dict) and stage.fields["type"] in SCHEMAS
            if is_readable and (found is None or found.fields["config"] != config):
                changed.append(stage)
    of_stages = faults.of_stages(
        [(stage.fields["type"], stage.fields["config"]) for stage in changed],
        ask_bucket=True,
        expected=expected,
    )
    for stage, of_stage in zip(changed, of_stages, strict=True):
        for path, reason in of_stage:
            place = (*stage.path, "config", *path)
            if place not in known:
                yield place, reason
