"""Model fields of content."""

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.fields.files import ImageFieldFile
from django.utils.translation import gettext_lazy as _

from content import pictures
from content.folding import fold, visible_text
from content.kinds import ID_MAX_LENGTH, IdProblem, id_problem

validate_color_code = RegexValidator(
    r"\A#[0-9A-Fa-f]{6}\Z", _("Write the colour as # and six hexadecimal digits.")
)
validate_item_code = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
    _("A product code has letters, digits, dots, dashes and underscores only."),
)

_ID_MESSAGES = {
    IdProblem.MALFORMED: _(
        "“%(value)s” cannot be an id: use 1 to 64 letters, digits, dashes and "
        "underscores, the first a letter or digit."
    ),
    IdProblem.RESERVED: _(
        "“%(value)s” is reserved for a published file: an id is not “manifest”, "
        "“search” or “search_index” and does not end in “_h” or “_b”."
    ),
}


def validate_public_id(value: str) -> None:
    """Refuse an id that could not safely name a published file.

    Raises:
        ValidationError: with code ``malformed`` or ``reserved``.
    """
    problem = id_problem(value)
    if problem is not None:
        raise ValidationError(
            _ID_MESSAGES[problem], code=problem, params={"value": value}
        )


def validate_visible(value: str) -> None:
    """Refuse a text in which nothing can be seen.

    Raises:
        ValidationError: with code ``invisible``.
    """
    if not visible_text(value):
        raise ValidationError(
            _("Write something that can be seen: these characters are invisible."),
            code="invisible",
        )


if TYPE_CHECKING:
    _Text = models.CharField[str, str]
else:
    _Text = models.CharField


class TitleField(_Text):
    """A name that people read.

    To migrations it is the ``CharField`` that it is in the database.
    """

    default_validators = [validate_visible]

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class ExactCharField(models.CharField):  # type: ignore[type-arg]
    """Text in which case counts on every database: ids, codes, paths.

    Two that differ by case name two files. MariaDB must be told so.
    """

    def db_parameters(self, connection: Any) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class PublicIdField(ExactCharField):
    """An immutable, URL-safe id that clients see and published files are named by."""

    default_validators = [validate_public_id]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", ID_MAX_LENGTH)
        kwargs.setdefault("unique", True)
        kwargs.setdefault("verbose_name", _("id"))
        super().__init__(*args, **kwargs)


class FoldedField(models.TextField):  # type: ignore[type-arg]
    """What another text column says, folded for searching; written with the row.

    ``update()`` and ``bulk_update()`` know nothing of it: `content.models.NodeQuerySet`
    does.
    """

    def __init__(self, source: str = "", **kwargs: Any) -> None:
        kwargs.update(editable=False, default="")
        super().__init__(**kwargs)
        self.source = source

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "source": self.source}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        folded = fold(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, folded)
        return folded


class PictureFormField(forms.ImageField):
    """An upload that `content.pictures` accepts; the cleaned value is what it made."""

    def to_python(self, data: Any) -> Any:
        file = forms.FileField.to_python(self, data)
        return None if file is None else pictures.clean(file)


class PictureFieldFile(ImageFieldFile):
    """A stored picture."""

    def save(self, name: str, content: Any, save: bool = True) -> None:
        """Store ``content``; one that no form has cleaned is cleaned here.

        Raises:
            ValidationError: it is no picture that `content.pictures` accepts.
        """
        if not isinstance(content, pictures.CleanPicture):
            content = pictures.clean(content)
        suffix = PurePath(content.name or "").suffix
        super().save(str(PurePath(name).with_suffix(suffix)), content, save)


class PictureField(models.ImageField):
    """An uploaded picture: every one of the project is cleaned by `content.pictures`."""

    attr_class = PictureFieldFile

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": PictureFormField, **kwargs})

    def deconstruct(self) -> Any:
        """As Django's own field: the column is the same."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.ImageField", args, kwargs


class CanonicalJSONEncoder(json.JSONEncoder):
    """JSON as it is published: UTF-8 as it is, sorted keys, no spaces."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.update(
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
        )
        super().__init__(**kwargs)
