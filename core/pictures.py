"""Validate and re-encode uploaded pictures.

No uploaded byte is stored. A picture is decoded completely and encoded again in its own
format, so the file holds only pixels: no second file format, no data after the end, no
Exif location.
"""

import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import ImageField
from django.utils.translation import gettext as _
from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError


@dataclass(frozen=True, slots=True)
class Format:
    """A format that every browser supports: its suffix and content type."""

    suffix: str
    content_type: str


FORMATS = {
    "JPEG": Format(".jpg", "image/jpeg"),
    "PNG": Format(".png", "image/png"),
    "WEBP": Format(".webp", "image/webp"),
    "GIF": Format(".gif", "image/gif"),
}
_PROFILED_MODES = frozenset({"RGB", "RGBA", "CMYK"})
_JPEG_QUALITY = 92
_WEBP_QUALITY = 90


class CleanPicture(SimpleUploadedFile):
    """A picture that `clean` made, with the suffix of its format."""


def clean(file: "File[Any]") -> CleanPicture:
    """Return the picture in ``file``, encoded again and without metadata.

    The size in bytes is checked first, then the number of pixels in the header; only
    then are pixels decoded. An animation is refused when it has more than
    ``PICTURE_MAX_FRAMES`` frames, or when all frames together exceed
    ``PICTURE_MAX_PIXELS``.

    Returns:
        The file to store. Suffix and content type are those of the detected format; the
            name of the upload does not matter.

    Raises:
        ValidationError: it is not a picture of `FORMATS`, is damaged, or is too large.
    """
    if (file.size or 0) > settings.PICTURE_MAX_BYTES:
        raise ValidationError(
            _("The picture is larger than %(size)d MB. Make it smaller first.")
            % {"size": settings.PICTURE_MAX_BYTES // 1024**2}
        )
    file.seek(0)
    data: bytes = file.read()
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as picture:
            durations = _decode(picture)
            encoded = _encode(picture, durations, lossless=b"VP8L" in data)
            kind = FORMATS[picture.format or ""]
    except ValidationError:
        raise
    except UnidentifiedImageError as error:
        raise ValidationError(
            _("Upload a picture in one of these formats: %(kinds)s.")
            % {"kinds": ", ".join(FORMATS)}
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except Exception as error:
        # Pillow raises many kinds of errors for damaged data; Django's field does the
        # same.
        raise ValidationError(
            ImageField.default_error_messages["invalid_image"]
        ) from error
    stem = PurePath(file.name or "").stem or "picture"
    return CleanPicture(stem + kind.suffix, encoded, kind.content_type)


def _decode(picture: Image.Image) -> list[int]:
    """Decode every frame and return each duration in milliseconds.

    Raises:
        ValidationError: too many pixels or frames; the rest is not decoded.
    """
    pixels = 0
    durations: list[int] = []
    for frame in ImageSequence.Iterator(picture):
        pixels += frame.width * frame.height
        if pixels > settings.PICTURE_MAX_PIXELS:
            raise _too_many_pixels()
        if len(durations) == settings.PICTURE_MAX_FRAMES:
            raise ValidationError(
                _(
                    "The animation has more than %(count)d frames. Make it shorter first."
                )
                % {"count": settings.PICTURE_MAX_FRAMES}
            )
        frame.load()
        durations.append(int(frame.info.get("duration", 0)))
    picture.seek(0)
    return durations


def _too_many_pixels() -> ValidationError:
    return ValidationError(
        _(
            "The picture has more than %(count)d megapixels (in all frames of an "
            "animation together). Make it smaller first."
        )
        % {"count": settings.PICTURE_MAX_PIXELS // 1_000_000}
    )


def _encode(picture: Image.Image, durations: list[int], *, lossless: bool) -> bytes:
    kind = picture.format
    options: dict[str, Any] = {"comment": b""} if kind in ("GIF", "JPEG") else {}
    still = picture
    if len(durations) > 1:
        options |= {"save_all": True, "duration": durations}
        if "loop" in picture.info:
            options["loop"] = picture.info["loop"]
    else:
        still = _upright(picture)
    if kind == "JPEG":
        options |= {"quality": _JPEG_QUALITY}
    elif kind == "WEBP":
        options |= {"lossless": lossless, "quality": _WEBP_QUALITY}
    # Encoders would copy this metadata from the source.
    options |= {"exif": b"", "xmp": b"", "icc_profile": None}
    output = io.BytesIO()
    still.save(output, kind, **options)
    return output.getvalue()


def _upright(picture: Image.Image) -> Image.Image:
    """Apply the orientation and the colour profile to the pixels."""
    upright = ImageOps.exif_transpose(picture)
    profile = upright.info.get("icc_profile")
    if profile and upright.mode in _PROFILED_MODES:
        # An invalid profile is ignored, as browsers do.
        with suppress(ImageCms.PyCMSError, OSError):
            converted = ImageCms.profileToProfile(
                upright,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB" if upright.mode == "CMYK" else upright.mode,
            )
            if converted is not None:
                upright = converted
    if upright.mode == "CMYK":
        upright = upright.convert("RGB")
    return upright
