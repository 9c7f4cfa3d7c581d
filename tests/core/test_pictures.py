"""Which pictures are accepted, and what is stored of them."""

import io
import struct
import zlib

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import FileField
from django.forms import ImageField as DjangoFormField, modelform_factory
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from core import pictures
from core.fields import PictureField, PictureFormField

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}


def encoded(kind: str, size: tuple[int, int] = (8, 6), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(buffer, kind, **options)
    return buffer.getvalue()


def animation(frames: int, kind: str = "GIF", **options) -> bytes:
    buffer = io.BytesIO()
    pictures_ = [
        Image.new("RGB", (8, 6), (number * 37 % 256, number, 90))
        for number in range(frames)
    ]
    pictures_[0].save(
        buffer, kind, save_all=True, append_images=pictures_[1:], **options
    )
    return buffer.getvalue()


def bomb(side: int = 13_000) -> bytes:
    """A PNG of one colour: 169 megapixels in about 20 KB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    body = b"".join([*(packer.compress(row) for _row in range(side)), packer.flush()])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


def clean(data: bytes, name: str = "cell.png") -> pictures.CleanPicture:
    return pictures.clean(SimpleUploadedFile(name, data, "image/png"))


def refused(data: bytes) -> str:
    with pytest.raises(ValidationError) as refusal:
        clean(data)
    return " ".join(refusal.value.messages)


# --- What is refused ----------------------------------------------------------------

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\nshowpage\n"
PDF = b"%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    "data",
    [EPS, PDF, SVG, HTML, b"", encoded("BMP"), encoded("TIFF"), encoded("ICO")],
    ids=["eps", "pdf", "svg", "html", "empty", "bmp", "tiff", "ico"],
)
def test_another_kind_of_file_is_no_picture_whatever_its_name(data):
    assert refused(data) == (
        "Upload a picture in one of these formats: JPEG, PNG, WEBP, GIF."
    )


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_picture_is_refused(kind, part):
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, kind)
    data = buffer.getvalue()
    refused(data[: int(len(data) * part)])


@pytest.mark.parametrize("side", [8_000, 13_000, 20_000])
def test_a_bomb_is_refused_by_its_header(monkeypatch, side):
    data = bomb(side)
    assert len(data) < 60_000

    def decode(*_args):
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert "40 megapixels" in refused(data)


def test_a_picture_of_the_most_pixels_is_taken_and_of_one_more_is_not(settings):
    settings.PICTURE_MAX_PIXELS = 48
    clean(encoded("PNG", (8, 6)))
    refused(encoded("PNG", (7, 7)))


def test_an_animation_has_so_many_frames_at_most(settings):
    settings.PICTURE_MAX_FRAMES = 3
    clean(animation(3))
    assert "3 frames" in refused(animation(4))


def test_the_frames_of_an_animation_count_together(settings):
    settings.PICTURE_MAX_PIXELS = 48 * 3
    clean(animation(3))
    refused(animation(4))


def test_a_file_of_too_many_bytes_is_not_read(settings):
    settings.PICTURE_MAX_BYTES = 10

    class Unread(SimpleUploadedFile):
        def read(self, *_args):
            raise AssertionError("it was read")

    with pytest.raises(ValidationError):
        pictures.clean(Unread("a.png", encoded("PNG")))


# --- What is stored -----------------------------------------------------------------


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("name", ["cell.svg", "cell.png.html", "خلية.pdf", "a/b.php"])
def test_suffix_and_type_are_those_of_the_detected_format(kind, name):
    picture = clean(encoded(kind), name)
    assert picture.name.endswith(SUFFIXES[kind])
    assert picture.content_type == f"image/{kind.lower()}"
    assert Image.open(io.BytesIO(picture.read())).format == kind


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize(
    "other", [PDF, b"PK\x03\x04 an archive PK\x05\x06" + bytes(18), HTML, EPS]
)
def test_nothing_remains_of_a_second_file_behind_a_picture(kind, other):
    assert other not in clean(encoded(kind) + other).read()


def secret_png() -> bytes:
    text = PngInfo()
    text.add_text("Comment", "SECRET", zip=False)
    text.add_itxt("XML:com.adobe.xmp", "SECRET")
    return encoded("PNG", pnginfo=text, exif=exif())


def exif(orientation: int = 1) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010E] = "SECRET"
    data.get_ifd(0x8825)[0x0001] = "N"
    data.get_ifd(0x8825)[0x0002] = (33.0, 30.0, 49.0)
    data.get_ifd(0x8825)[0x001D] = "SECRET"
    return data.tobytes()


@pytest.mark.parametrize(
    "data",
    [
        encoded("JPEG", exif=exif(), comment=b"SECRET", xmp=b"<x>SECRET</x>"),
        secret_png(),
        encoded("WEBP", exif=exif(), xmp=b"<x>SECRET</x>"),
        animation(2, "WEBP", exif=exif(), xmp=b"<x>SECRET</x>"),
        encoded("GIF", comment=b"SECRET"),
        animation(2, comment=b"SECRET"),
    ],
    ids=["jpeg", "png", "webp", "webp animation", "gif", "gif animation"],
)
def test_place_comments_and_all_other_metadata_are_removed(data):
    assert b"SECRET" in data
    stored = clean(data).read()
    assert b"SECRET" not in stored
    picture = Image.open(io.BytesIO(stored))
    assert dict(picture.getexif()) == {}
    assert not {"comment", "exif", "xmp"} & picture.info.keys()


def test_a_picture_taken_sideways_is_stored_upright():
    stored = Image.open(clean(encoded("JPEG", (8, 6), exif=exif(orientation=6))))
    assert stored.size == (6, 8)


def test_a_colour_profile_becomes_pixels_and_is_dropped():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stored = Image.open(clean(encoded("PNG", icc_profile=profile)))
    assert "icc_profile" not in stored.info
    assert stored.getpixel((1, 1)) == (200, 30, 60)


def test_a_profile_that_makes_no_sense_is_ignored():
    stored = Image.open(clean(encoded("PNG", icc_profile=b"%PDF-1.4 no profile")))
    assert stored.getpixel((1, 1)) == (200, 30, 60)


def test_a_picture_for_print_becomes_one_for_screens():
    buffer = io.BytesIO()
    Image.new("CMYK", (8, 6), (0, 255, 255, 0)).save(buffer, "JPEG")
    assert Image.open(clean(buffer.getvalue())).mode == "RGB"


def test_transparency_is_kept():
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 6), (200, 30, 60, 0)).save(buffer, "PNG")
    assert Image.open(clean(buffer.getvalue())).getpixel((0, 0)) == (200, 30, 60, 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_keeps_its_frames_and_their_times(kind):
    stored = Image.open(clean(animation(3, kind, duration=[100, 200, 300], loop=2)))
    assert stored.n_frames == 3
    times = []
    for number in range(3):
        stored.seek(number)
        stored.load()
        times.append(int(stored.info["duration"]))
    assert times == [100, 200, 300]
    assert stored.info["loop"] == 2


# --- Every entry point --------------------------------------------------------------


def file_fields() -> list[FileField]:
    return [
        field
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, FileField)
    ]


def test_every_file_field_of_the_project_is_a_picture_field():
    assert len(file_fields()) >= 2
    others = [f for f in file_fields() if not isinstance(f, PictureField)]
    assert others == []


@pytest.mark.parametrize("field", file_fields(), ids=str)
def test_every_form_of_a_picture_field_cleans_what_it_takes(field):
    form = modelform_factory(field.model, fields=[field.name])()
    assert isinstance(form.fields[field.name], PictureFormField)
    with pytest.raises(ValidationError):
        form.fields[field.name].clean(SimpleUploadedFile("a.png", EPS))
    assert isinstance(form.fields[field.name], DjangoFormField)


@pytest.mark.parametrize("field", file_fields(), ids=str)
def test_code_that_stores_a_picture_without_a_form_cannot_store_anything_else(field):
    row = field.model()
    with pytest.raises(ValidationError):
        getattr(row, field.name).save("a.png", SimpleUploadedFile("a.png", PDF), False)
    getattr(row, field.name).save(
        "a.png", SimpleUploadedFile("a.png", encoded("GIF")), False
    )
    assert getattr(row, field.name).name.endswith(".gif")
