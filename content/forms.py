"""The admin's forms for content."""

import json
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from content import kinds
from content.kinds import Kind
from content.models import LessonStage, Node

COMMON_FIELDS = ("title", "public_id", "description", "image", "color_code")
ACCESS_FIELDS = ("is_public", "is_free_preview", "required_item")
NODE_FIELDS = (
    *COMMON_FIELDS,
    "is_published",
    "is_linear",
    *ACCESS_FIELDS,
    "base_xp",
)


class NodeForm(forms.ModelForm):  # type: ignore[type-arg]
    """A node's own fields. Where it lies is not among them: nodes move by dragging."""

    class Meta:
        model = Node
        fields = NODE_FIELDS
        widgets = {
            "description": forms.Textarea(attrs={"rows": 3}),
            "color_code": forms.TextInput(
                attrs={"dir": "ltr", "placeholder": "#0B7A75", "class": "colour-code"}
            ),
            "public_id": forms.TextInput(attrs={"dir": "ltr", "class": "vTextField"}),
            "required_item": forms.TextInput(
                attrs={"dir": "ltr", "class": "vTextField"}
            ),
        }

    kind: Kind = Kind.SUBJECT
    """What is being added; the admin sets it, nobody chooses it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.instance.kind = self.kind.value
        if "public_id" in self.fields:
            self.fields["public_id"].required = False
            self.fields["public_id"].help_text = _(
                "Leave it empty and one is made. It names published files and can "
                "never change."
            )

    def clean_public_id(self) -> str:
        """The id that was written, or a new one."""
        written: str = self.cleaned_data["public_id"]
        return written or kinds.new_id(kinds.ID_PREFIXES[Kind(self.instance.kind)])


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class ReadableJSONField(forms.JSONField):
    """JSON as people edit it: indented, in its own script."""

    def to_python(self, value: Any) -> Any:
        """The value, or where the text stops being JSON.

        Raises:
            ValidationError: it is not JSON, or cannot be stored as UTF-8.
        """
        if not isinstance(value, str) or value in self.empty_values:
            return super().to_python(value)
        try:
            parsed = json.loads(value, parse_constant=_refuse_constant)
            json.dumps(parsed, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                _(
                    "This is not JSON: something is wrong at line %(line)s, column %(column)s."
                ),
                code="invalid",
                params={"line": error.lineno, "column": error.colno},
            ) from error
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(
                _(
                    "This JSON cannot be stored: it nests too deeply, or holds a number "
                    "or a character that does not exist."
                ),
                code="invalid",
            ) from error
        return parsed

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, as it was typed: a refused text is shown again unchanged."""
        return initial if self.disabled else data

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class StageForm(forms.ModelForm):  # type: ignore[type-arg]
    """One stage; ``LessonStage.clean`` checks its content against its type's schema."""

    config = ReadableJSONField(
        label=capfirst(LessonStage._meta.get_field("config").verbose_name),
        widget=forms.Textarea(
            attrs={"rows": 10, "dir": "auto", "class": "json-code", "spellcheck": False}
        ),
        help_text=_("JSON; each type has its own fields."),
    )

    class Meta:
        model = LessonStage
        fields = ("type", "title", "config", "target_time", "weight", "is_skippable")
