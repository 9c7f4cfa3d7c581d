"""The media library in the admin: search, uses, replacement, captions, deletion."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import escape, format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from content.media import files, library, usage
from content.media.usage import Place
from content.models import MediaFile, MediaKind
from content.stage_types import SCHEMAS
from core.badges import badge
from core.errors import MemoraError
from core.searching import FoldedSearch

_MAX_PLACES = 200
_LANGUAGE = SCHEMAS["Video"]["properties"]["captions"]["items"]["properties"][
    "language"
]


def _places(request: HttpRequest) -> Mapping[str, list[Place]]:
    """Return `usage.places`, read once for each request."""
    if not hasattr(request, "media_places"):
        request.media_places = usage.places()  # type: ignore[attr-defined]
    found: Mapping[str, list[Place]] = request.media_places  # type: ignore[attr-defined]
    return found


class UseFilter(admin.SimpleListFilter):
    title = gettext_lazy("use")
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("used", _("Used")),
            ("unused", _("Not used")),
            ("no_alt", _("Pictures without alternative text")),
            ("no_captions", _("Videos without captions")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MediaFile]
    ) -> QuerySet[MediaFile]:
        match self.value():
            case "used":
                return queryset.filter(path__in=list(_places(request)))
            case "unused":
                return queryset.exclude(path__in=list(_places(request)))
            case "no_alt":
                return queryset.filter(kind=MediaKind.PICTURE, alt="")
            case "no_captions":
                return queryset.filter(kind=MediaKind.VIDEO, captions=[])
        return queryset


class UploadForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new file of the library; its kind follows from its name."""

    file = forms.FileField(label=gettext_lazy("File"))

    class Meta:
        model = MediaFile
        fields = ("alt",)

    def clean_file(self) -> Any:
        """Refuse files that are no media.

        Raises:
            ValidationError: the suffix is not that of a picture, recording or video.
        """
        file = self.cleaned_data["file"]
        self.instance.kind = files.kind_of(file.name)
        if self.instance.kind is None:
            raise forms.ValidationError(
                _(
                    "Choose a picture (JPEG, PNG, WebP, GIF), a recording (MP3, M4A, "
                    "Ogg, WAV) or a video (MP4, WebM)."
                )
            )
        return file

    def _post_clean(self) -> None:
        """Store the file: only then is it known to be valid."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            kind = MediaKind(self.instance.kind)
            stored = library.add(self.cleaned_data["file"], kind=kind)
        except MemoraError as refusal:
            self.add_error("file", refusal.message)
            return
        stored.alt = self.cleaned_data["alt"] or stored.alt
        self.instance = stored


class CaptionsForm(forms.Form):
    """A WebVTT file with its language."""

    language = forms.RegexField(
        regex=_LANGUAGE["pattern"],
        max_length=35,
        label=gettext_lazy("Language"),
        help_text=gettext_lazy("A language code such as ar or en."),
    )
    label = forms.CharField(label=gettext_lazy("Label"), required=False, max_length=100)
    file = forms.FileField(label=gettext_lazy("WebVTT file"))


@admin.register(MediaFile)
class MediaFileAdmin(FoldedSearch, admin.ModelAdmin):  # type: ignore[type-arg]
    """Stored pictures, recordings and videos."""

    list_display = (
        "look",
        "title",
        "kind",
        "shown_size",
        "uses",
        "described",
        "created_at",
    )
    list_display_links = ("look", "title")
    list_filter = ("kind", UseFilter)
    list_per_page = 50
    show_full_result_count = False
    ordering = ("-created_at", "-pk")
    search_fields = ("name_folded", "path", "alt")

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["memora/media-library.css"]}

    change_form_template = "admin/content/mediafile/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        views = (
            ("replace", self.replace_view),
            ("captions", self.captions_view),
        )
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"content_mediafile_{name}",
            )
            for name, view in views
        ]
        return [*own, *super().get_urls()]

    def get_form(  # type: ignore[override]
        self, request: HttpRequest, obj: MediaFile | None = None, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = UploadForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: MediaFile | None = None) -> Any:
        if obj is None:
            return ("file", "alt")
        alt = ("alt",) if obj.kind == MediaKind.PICTURE else ()
        return ("name", *alt, "shown_size", "created_at")

    def get_readonly_fields(
        self, request: HttpRequest, obj: MediaFile | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("shown_size", "created_at")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list, whose rows know how often they are used."""
        changelist: Any = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        for media in changelist.result_list:
            media.count_of_places = len(_places(request).get(media.path, []))
        return changelist

    @admin.display(description="")
    def look(self, media: MediaFile) -> SafeString:
        """Render a small picture, or a sign of the kind."""
        if media.kind == MediaKind.PICTURE:
            return format_html(
                '<img class="media-thumb" src="{}" alt="" loading="lazy">',
                default_storage.url(media.path),
            )
        sign = "▶" if media.kind == MediaKind.VIDEO else "♪"
        return format_html(
            '<span class="media-thumb" aria-hidden="true">{}</span>', sign
        )

    @admin.display(description=gettext_lazy("name"), ordering="name_folded")
    def title(self, media: MediaFile) -> SafeString:
        return format_html("<bdi>{}</bdi>", media.name)

    @admin.display(description=gettext_lazy("size"), ordering="size")
    def shown_size(self, media: MediaFile) -> str:
        return filesizeformat(media.size) if media.size else "–"

    @admin.display(description=gettext_lazy("uses"))
    def uses(self, media: MediaFile) -> str | SafeString:
        count: int = media.count_of_places  # type: ignore[attr-defined]
        return str(count) if count else badge("○", _("Not used"), "quiet")

    @admin.display(description=gettext_lazy("alternative text or captions"))
    def described(self, media: MediaFile) -> str | SafeString:
        if media.kind == MediaKind.VIDEO:
            return ", ".join(track["language"] for track in media.captions) or "–"
        return format_html("<bdi>{}</bdi>", media.alt) if media.alt else "–"

    # --- One file -------------------------------------------------------------

    def render_change_form(  # type: ignore[override]
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> HttpResponse:
        media: MediaFile | None = kwargs.get("obj")
        if media is not None and media.pk is not None:
            context |= self._context(request, media)
        response: HttpResponse = super().render_change_form(request, context, **kwargs)
        return response

    def _context(self, request: HttpRequest, media: MediaFile) -> dict[str, Any]:
        kind = MediaKind(media.kind)
        is_video = kind is MediaKind.VIDEO
        watch = reverse("admin:watch_video") + "?" + urlencode({"source": media.path})
        places = _places(request).get(media.path, [])
        suffixes = {
            MediaKind.PICTURE: files.PICTURE_SUFFIXES,
            MediaKind.AUDIO: files.AUDIO_SUFFIXES,
            MediaKind.VIDEO: files.VIDEO_SUFFIXES,
        }
        return {
            "stored": media,
            "address": watch if is_video else default_storage.url(media.path),
            "is_missing": bool(files.missing(kind, [media.path])),
            "places": places[:_MAX_PLACES],
            "place_count": len(places),
            "may_change_stages": _may_change_stages(request),
            "accept": ",".join(sorted(suffixes[kind])),
            "captions_form": CaptionsForm() if is_video else None,
        }

    def replace_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Use the uploaded ``file`` everywhere in place of this one."""
        media = self._media_to_change(request, pk)
        file = request.FILES.get("file")
        if file is None:
            messages.error(request, _("Choose a file first."))
            return _page_of(media)
        try:
            new, count = library.replace(media=media, file=file)
        except MemoraError as refusal:
            messages.error(request, refusal.message)
            return _page_of(media)
        message = ngettext(
            "The new file is used in %(count)d place. Students will see it after the "
            "next publish.",
            "The new file is used in %(count)d places. Students will see it after the "
            "next publish.",
            count,
        )
        messages.success(request, message % {"count": count})
        return _page_of(new)

    def captions_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add a caption track from a WebVTT file, or remove that of ``remove``."""
        media = self._media_to_change(request, pk)
        if media.kind != MediaKind.VIDEO:
            raise PermissionDenied
        if language := request.POST.get("remove", ""):
            count = library.remove_captions(media=media, language=language)
        else:
            form = CaptionsForm(request.POST, request.FILES)
            if not form.is_valid():
                for name, errors in form.errors.items():
                    label = form.fields[name].label
                    messages.error(request, f"{label}: {' '.join(map(str, errors))}")
                return _page_of(media)
            try:
                count = library.set_captions(media=media, **form.cleaned_data)
            except MemoraError as refusal:
                messages.error(request, refusal.message)
                return _page_of(media)
        message = ngettext(
            "The captions were changed in %(count)d stage. Students will see them after "
            "the next publish.",
            "The captions were changed in %(count)d stages. Students will see them after "
            "the next publish.",
            count,
        )
        messages.success(request, message % {"count": count})
        return _page_of(media)

    def _media_to_change(self, request: HttpRequest, pk: int) -> MediaFile:
        if not (self.has_change_permission(request) and _may_change_stages(request)):
            raise PermissionDenied
        found: MediaFile = get_object_or_404(MediaFile, pk=pk)
        return found

    # --- Deletion -------------------------------------------------------------

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, int], set[Any], list[Any]]:
        """Return used files as protected, with the places that use them."""
        to_delete, counts, permissions, protected = super().get_deleted_objects(
            objs, request
        )
        used = [
            _link(place)
            for media in objs
            for place in _places(request).get(media.path, [])
        ]
        try:
            library.refuse_used([] if used else list(objs))
        except MemoraError as refusal:
            used.append(SafeString(escape(refusal.message)))
        return to_delete, counts, permissions, [*protected, *used[:_MAX_PLACES]]

    def delete_model(self, request: HttpRequest, obj: MediaFile) -> None:
        library.delete(media=obj)

    def delete_queryset(
        self, request: HttpRequest, queryset: QuerySet[MediaFile]
    ) -> None:
        for media in queryset:
            library.delete(media=media)


def _may_change_stages(request: HttpRequest) -> bool:
    return request.user.has_perms(["content.change_node", "content.change_lessonstage"])


def _page_of(media: MediaFile) -> HttpResponseRedirect:
    return HttpResponseRedirect(
        reverse("admin:content_mediafile_change", args=[media.pk])
    )


def _link(place: Place) -> SafeString:
    url = reverse("admin:content_node_change", args=[place.node_pk])
    card = f"#{place.stage_id}" if place.stage_id else ""
    title = f"{place.title} › {place.stage_title}" if card else place.title
    return format_html('<a href="{}{}">{}</a>', url, card, title)
