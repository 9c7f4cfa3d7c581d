"""The admin's forms for content."""

import json
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from content import kinds
from content.json_faults import Fault
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from content.stage_configs import ConfigError, clean_config

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

    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    """How the node was when the page was opened (`version_of`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.instance.kind = self.kind.value
        else:
            self.initial["seen"] = version_of(self.instance)
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

    def clean_seen(self) -> str:
        """Refuse to write over what somebody else saved since the page was opened.

        The refusal, code ``stale``, is the page's own: the field is hidden.
        """
        seen: str = self.cleaned_data["seen"]
        if (
            seen
            and self.instance.pk is not None
            and seen != _locked_version(self.instance)
        ):
            refusal = forms.ValidationError(
                _(
                    "Somebody else saved this page after you opened it. Nothing of "
                    "yours was saved: copy what you wrote, reload the page to see "
                    "theirs, and add yours again."
                ),
                code="stale",
            )
            self.add_error(None, refusal)
        return seen


def version_of(node: Node) -> str:
    """Changes when the node's own fields or its stages do."""
    return f"{node.updated_at.isoformat()}/{node.stages_revision}"


def _locked_version(node: Node) -> str | None:
    """The stored version; two who save at once come here one after the other."""
    # The subject's row first, as every edit takes it (`TrackedQuerySet`).
    list(SubjectState.objects.select_for_update().filter(pk=node.subject_pk))
    stored = (
        Node.objects.only("updated_at", "stages_revision").filter(pk=node.pk).first()
    )
    return None if stored is None else version_of(stored)


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
        widgets = {
            "title": forms.TextInput(attrs={"dir": "auto", "class": "vTextField"})
        }

    @property
    def config_faults(self) -> list[Fault]:
        """Where in the posted content its errors are, for the form made of it."""
        refusals = self.errors.as_data().get("config", []) if self.is_bound else []
        if not refusals or any(refusal.code == "invalid" for refusal in refusals):
            return []  # all is well, or it is no JSON at all
        try:
            clean_config(self.instance.type, self.instance.config)
        except ConfigError as error:
            return error.faults
        return []
