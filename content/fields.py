"""Model fields and validators of ``content``: ids, colours, codes, stages' words."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from content import formula_faults, formulas
from content.inline_text import plain
from content.kinds import ID_MAX_LENGTH, IdProblem, id_problem
from content.stage_texts import words_of
from core.fields import ExactCharField, FoldedField, TitleField

validate_color_code = RegexValidator(
    r"\A#[0-9A-Fa-f]{6}\Z", _("Enter the colour as # and six hexadecimal digits.")
)


validate_item_code = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
    _(
        "A product code can contain only letters, digits, dots, hyphens and "
        "underscores."
    ),
)


_ID_MESSAGES = {
    IdProblem.MALFORMED: _(
        "“%(value)s” is not a valid id: use 1 to 64 letters, digits, hyphens and "
        "underscores, and start with a letter or digit."
    ),
    IdProblem.RESERVED: _(
        "“%(value)s” is reserved for published files: an id cannot be “manifest”, "
        "“search” or “search_index”, and cannot end in “_h” or “_b”."
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


def validate_formulas(value: str) -> None:
    """Refuse a title with a formula that cannot be drawn.

    Raises:
        ValidationError: it names the formula and the reason.
    """
    for reason in formula_faults.reasons(formulas.in_text(value)):
        raise ValidationError(reason, code="formula")


class InlineTitleField(TitleField):
    """A title with formulas and inline tags (`content.inline_text`).

    Migrations record it as ``CharField``.
    """

    default_validators = [*TitleField.default_validators, validate_formulas]


class StageTextField(FoldedField):
    """The words of a stage as searches compare them: its title, then its config."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.pop("source", None)
        super().__init__("config", **kwargs)

    @property
    def sources(self) -> tuple[str, ...]:
        return ("title", "type", "config")

    def pre_save(self, model_instance: Any, add: bool) -> str:
        words = words_of(model_instance.type, model_instance.config)
        folded = self.folded("\n".join([plain(model_instance.title), *words.lines]))
        setattr(model_instance, self.attname, folded)
        return folded
