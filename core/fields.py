"""Model fields for titles, codes, folded text, pictures and JSON."""

import json
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.fields.files import ImageFieldFile
from django.utils.translation import gettext_lazy as _

from core import pictures
from core.batches import batches
from core.folding import fold, searchable, visible_text


def validate_visible(value: str) -> None:
    """Refuse a text without visible characters.

    Raises:
        ValidationError: with code ``invisible``.
    """
    if not visible_text(value):
        raise ValidationError(
            _("Enter at least one visible character."),
            code="invisible",
        )


if TYPE_CHECKING:
    _Text = models.CharField[str, str]
else:
    _Text = models.CharField


class TitleField(_Text):
    """A title or name with at least one visible character.

    Migrations record it as ``CharField``.
    """

    default_validators = [validate_visible]

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class ExactCharField(models.CharField):  # type: ignore[type-arg]
    """Case-sensitive text on every database: ids, codes, paths.

    Two values that differ only in case name two files. MariaDB needs a binary collation
    for this.
    """

    def db_parameters(self, connection: Any) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class _Folded:
    """The folded copy of another text column (`core.folding`).

    It is written with the row. `FoldingModel` and `FoldingQuerySet` update it when only
    some columns are written.
    """

    def __init__(self, source: str = "", **kwargs: Any) -> None:
        kwargs.update(editable=False, default="")
        super().__init__(**kwargs)
        self.source = source

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()  # type: ignore[misc]
        return name, path, args, {**kwargs, "source": self.source}

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns that the folded text is made of."""
        return (self.source,)

    def folded(self, text: str) -> str:
        """Return the value of the column for this source text."""
        return fold(text)

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        folded = self.folded(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, folded)  # type: ignore[attr-defined]
        return folded


class FoldedField(_Folded, models.TextField):  # type: ignore[type-arg]
    """A folded text to search in, also by other spellings of its words."""

    def folded(self, text: str) -> str:
        return searchable(text)


class FoldedKeyField(_Folded, ExactCharField):
    """A unique folded key, equal for all spellings: ``FoldedKeyField("title")``."""

    def __init__(self, source: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 255)
        kwargs.setdefault("unique", True)
        super().__init__(source, **kwargs)

    def folded(self, text: str) -> str:
        return fold(text)[: self.max_length].strip()


def _folded_fields(model: type[models.Model]) -> list[Any]:
    return [
        field for field in model._meta.concrete_fields if isinstance(field, _Folded)
    ]


def _with_folded(model: type[models.Model], written: Iterable[str]) -> list[str]:
    """Return these columns and the folded columns whose sources are among them."""
    names = list(written)
    folded = [
        f.attname for f in _folded_fields(model) if not set(f.sources).isdisjoint(names)
    ]
    return names + [name for name in folded if name not in names]


class FoldingQuerySet(models.QuerySet[Any]):
    """A queryset whose bulk writes include the folded columns."""

    def update(self, **kwargs: Any) -> int:
        """Update the rows, including folded columns.

        Raises:
            TypeError: the only source of a folded column is set to an expression,
                whose value is known only to the database.
        """
        joint = [
            field
            for field in _folded_fields(self.model)
            if len(field.sources) > 1 and not kwargs.keys().isdisjoint(field.sources)
        ]
        if joint:  # the other sources differ from row to row
            with transaction.atomic(using=self.db):
                pks = list(self.values_list("pk", flat=True))
                count = super().update(**kwargs)
                for batch in batches(pks):
                    self._fold_again(joint, batch)
            return count
        for field in _folded_fields(self.model):
            if field.source in kwargs and field.attname not in kwargs:
                text = kwargs[field.source]
                if not isinstance(text, str):
                    raise TypeError(f"{field.source} must be a text: it is folded")
                kwargs[field.attname] = field.folded(text)
        return super().update(**kwargs)

    update.alters_data = True  # type: ignore[attr-defined]

    def _fold_again(self, fields: Sequence[Any], pks: Sequence[int]) -> None:
        everything: models.QuerySet[Any] = models.QuerySet(self.model, using=self.db)
        rows = everything.filter(pk__in=pks)
        read = {source for field in fields for source in field.sources}
        found = list(rows.only("pk", *read))
        for row, field in product(found, fields):
            field.pre_save(row, add=False)
        rows.bulk_update(found, [field.attname for field in fields])

    def bulk_update(
        self, objs: Iterable[Any], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        rows, columns = list(objs), list(fields)
        for field in _folded_fields(self.model):
            written = not set(field.sources).isdisjoint(columns)
            if written and field.attname not in columns:
                columns.append(field.attname)
                for row in rows:
                    field.pre_save(row, add=False)
        return super().bulk_update(rows, columns, batch_size=batch_size)

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        if kwargs.get("update_fields"):
            kwargs["update_fields"] = _with_folded(self.model, kwargs["update_fields"])
        return super().bulk_create(objs, *args, **kwargs)


class FoldingModel:
    """Mixin for a model: ``save(update_fields=…)`` also writes folded columns."""

    def save(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("update_fields") is not None:
            written = kwargs["update_fields"]
            model: Any = type(self)
            kwargs["update_fields"] = _with_folded(model, written)
        super().save(*args, **kwargs)  # type: ignore[misc]


class PictureFormField(forms.ImageField):
    """An upload that `core.pictures` accepts; the cleaned value is a `CleanPicture`."""

    def to_python(self, data: Any) -> Any:
        file = forms.FileField.to_python(self, data)
        return None if file is None else pictures.clean(file)


class PictureFieldFile(ImageFieldFile):
    """A stored picture."""

    def save(self, name: str, content: Any, save: bool = True) -> None:
        """Store ``content``; clean it first if no form has done so.

        Raises:
            ValidationError: `core.pictures` does not accept it.
        """
        if not isinstance(content, pictures.CleanPicture):
            content = pictures.clean(content)
        suffix = PurePath(content.name or "").suffix
        super().save(str(PurePath(name).with_suffix(suffix)), content, save)


class PictureField(models.ImageField):
    """An uploaded picture, cleaned by `core.pictures`; used for all uploads."""

    attr_class = PictureFieldFile

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": PictureFormField, **kwargs})

    def deconstruct(self) -> Any:
        """Return Django's ``ImageField``: the column is the same."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.ImageField", args, kwargs


class CanonicalJSONEncoder(json.JSONEncoder):
    """Canonical JSON, as published: unescaped UTF-8, sorted keys, no spaces."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.update(
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
        )
        super().__init__(**kwargs)
