"""Model fields and validators of ``content``: ids, colours, product codes."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH, IdProblem, id_problem
from core.fields import ExactCharField

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
    """Refuse an id that is not safe as the name of a published file.

    Raises:
        ValidationError: with code ``malformed`` or ``reserved``.
    """
    problem = id_problem(value)
    if problem is not None:
        raise ValidationError(
            _ID_MESSAGES[problem], code=problem, params={"value": value}
        )


class PublicIdField(ExactCharField):
    """An immutable, URL-safe id for clients and for the names of published files."""

    default_validators = [validate_public_id]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", ID_MAX_LENGTH)
        kwargs.setdefault("unique", True)
        kwargs.setdefault("verbose_name", _("id"))
        super().__init__(*args, **kwargs)
