"""Admin forms of nodes and stages."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from adminsortable2.admin import CustomInlineFormSet
from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from content import kinds, lesson_data, products, unfinished
from content.field_lists import NodeFields, StageFields
from content.json_errors import Fault
from content.kinds import Kind
from content.losses import StageLosses, fingerprint
from content.models import LessonStage, Node, NodeKind, SubjectState
from content.stage_configs import (
    ConfigError,
    byte_size,
    clean_config,
    lesson_size_fault,
    repeated_item_fault,
    repeated_items,
)
from core.json_limits import is_too_deep


class OptimisticLockForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that does not overwrite edits saved after the page was opened.

    The forms of nodes and plans define the `version` of a row and how to `lock` it.
    They are no abstract methods, because ``ModelForm`` has another metaclass.
    """

    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    """The version of the row when the page was opened."""
    refusal: Any = _(
        "Another user saved this page after you opened it. Your changes were not saved: "
        "copy your text, reload the page to see the other changes, and make yours again."
    )
    is_restored = False
    """Whether the data is a draft to show, not to save (`content.drafts`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["seen"] = self.version(self.instance)

    @staticmethod
    def version(row: Any) -> str:
        """Return a text that changes whenever the shown values of ``row`` change."""
        raise NotImplementedError

    def lock(self) -> Any:
        """Lock and return the stored row, or None; so concurrent saves run in turn."""
        raise NotImplementedError

    def clean_seen(self) -> str:
        """Refuse a page that is older than the row.

        The error, with code ``stale``, is added to the whole form: the field is hidden.
        """
        seen: str = self.cleaned_data["seen"]
        if not seen or self.instance.pk is None or self.is_restored:
            return seen
        stored = self.lock()
        if stored is None or seen != self.version(stored):
            self.add_error(None, forms.ValidationError(self.refusal, code="stale"))
        return seen


class ProductCodeField(forms.CharField):
    """The code of a known product. The page has the list: ``{% product_codes %}``."""

    default_validators = [products.require_known]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_length": 64, **kwargs})

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        own = {"dir": "ltr", "list": "product-codes", "autocomplete": "off"}
        return {**super().widget_attrs(widget), **own}


class NodeForm(OptimisticLockForm):
    """A node's own fields. Its place is not included: nodes are moved in the tree."""

    class Meta:
        model = Node
        fields = NodeFields.FORM
        widgets = {
            "description": forms.Textarea(attrs={"rows": 3}),
            "color_code": forms.TextInput(
                attrs={"dir": "ltr", "placeholder": "#0B7A75", "class": "colour-code"}
            ),
            "public_id": forms.TextInput(attrs={"dir": "ltr", "class": "vTextField"}),
            "required_item": forms.TextInput(attrs={"class": "vTextField"}),
        }
        field_classes = {"required_item": ProductCodeField}

    refusal = _(
        "Another user changed the same parts of this page. Nothing was saved: choose a "
        "version of each part, then save again."
    )
    kind: Kind = Kind.SUBJECT
    """The kind of a new node; the admin sets it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.instance.kind = self.kind.value
        if "public_id" in self.fields:
            self.fields["public_id"].required = False
            self.fields["public_id"].help_text = _(
                "Leave it empty to create an id automatically. Published file names "
                "contain the id, and it cannot be changed."
            )

    def clean_public_id(self) -> str:
        """Return the entered id, or a new one."""
        written: str = self.cleaned_data["public_id"]
        return written or kinds.new_node_id(Kind(self.instance.kind))

    @staticmethod
    def version(row: Node) -> str:
        """Return a text that changes with the node's own fields and stages.

        A lesson's has a hash of each of them (`content.lesson_data`).
        """
        if row.kind == NodeKind.LESSON:
            return lesson_data.version_of(unfinished.current_content(row))
        return f"{row.updated_at.isoformat()}/{row.stages_revision}"

    def lock(self) -> Node | None:
        # Lock the subject's row first, as every edit does (see `TrackedQuerySet`).
        subject = SubjectState.objects.filter(pk=self.instance.subject_pk)
        list(subject.select_for_update())
        stored: Node | None = Node.objects.filter(pk=self.instance.pk).first()
        return stored


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class ReadableJSONField(forms.JSONField):
    """A JSON field for editors: indented, without escaped characters."""

    def to_python(self, value: Any) -> Any:
        """Return the value.

        Raises:
            ValidationError: it is not JSON (the message states the place), is nested
                too deeply, or cannot be stored as UTF-8.
        """
        if not isinstance(value, str) or value in self.empty_values:
            return super().to_python(value)
        try:
            parsed = json.loads(value, parse_constant=_refuse_constant)
            if is_too_deep(parsed):
                raise RecursionError
            json.dumps(parsed, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                _("This is not valid JSON: error at line %(line)s, column %(column)s."),
                code="invalid",
                params={"line": error.lineno, "column": error.colno},
            ) from error
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(
                _(
                    "This JSON cannot be stored: it is nested too deeply, or contains "
                    "an invalid number or character."
                ),
                code="invalid",
            ) from error
        return parsed

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return the text as it was typed; a refused text is shown unchanged."""
        return initial if self.disabled else data

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class StageForm(forms.ModelForm):  # type: ignore[type-arg]
    """One stage; ``LessonStage.clean`` validates its config by the type's schema."""

    key = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    """The key of a new stage of an unfinished lesson (`content.unfinished`)."""

    config = ReadableJSONField(
        label=capfirst(LessonStage._meta.get_field("config").verbose_name),
        widget=forms.Textarea(
            attrs={"rows": 10, "dir": "auto", "class": "json-code", "spellcheck": False}
        ),
        help_text=_("JSON; each type has its own fields."),
    )

    class Meta:
        model = LessonStage
        fields = StageFields.CONTENT
        widgets = {
            "title": forms.TextInput(attrs={"dir": "auto", "class": "vTextField"})
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # `StageFormSet` compares all stages: an item may move from one to another.
        self.instance.is_compared_with_others = True

    @property
    def config_faults(self) -> list[Fault]:
        """The errors in the posted config by path, for the generated form."""
        refusals = self.errors.as_data().get("config", []) if self.is_bound else []
        if not refusals or any(refusal.code == "invalid" for refusal in refusals):
            return []  # it is valid, or not JSON at all
        try:
            clean_config(self.instance.type, self.instance.config)
        except ConfigError as error:
            return error.faults
        return []


class StageFormSet(CustomInlineFormSet):
    """A lesson's stages: limited in their total size, each item in one of them."""

    unaccepted_losses: tuple[StageLosses, ...] = ()
    """What saving would remove and the sent form does not accept."""
    losses_fingerprint = ""
    """The value of ``accept_losses`` that accepts them."""

    def clean(self) -> None:
        """Refuse a lesson that is too large, unless it was larger before.

        Raises:
            ValidationError: the message states the size and the limit, or names the
                item and its stages; or saving removes parts of texts, and the sent
                ``accept_losses`` is not the `fingerprint` of exactly these.
        """
        super().clean()
        if any(self.errors):
            return
        stored = [form.instance.stored_config for form in self.initial_forms]
        remaining = [form for form in self.forms if not self._should_delete_form(form)]
        self._refuse_repeated_items([form.instance for form in remaining])
        size = sum(byte_size(form.instance.config) for form in remaining)
        reason = lesson_size_fault(size)
        if reason and size > sum(byte_size(config) for config in stored if config):
            self._refuse(reason)
        self._refuse_losses(remaining)

    def _refuse_losses(self, remaining: Sequence[Any]) -> None:
        losses = tuple(
            StageLosses(form.prefix, form.instance.title, form.instance.losses)
            for form in remaining
            if form.has_changed() and form.instance.losses
        )
        self.losses_fingerprint = fingerprint(losses)
        if self.losses_fingerprint == self.data.get("accept_losses", ""):
            return
        self.unaccepted_losses = losses
        if losses:
            raise forms.ValidationError(
                _(
                    "Some parts of this lesson cannot be kept. Nothing has been saved "
                    "yet: change the texts, or accept the loss below and save again."
                ),
                code="losses",
            )

    def _refuse_repeated_items(self, stages: Sequence[LessonStage]) -> None:
        repeated = repeated_items((stage.type, stage.config) for stage in stages)
        if repeated:
            titles = [stage.title for stage in stages]
            lesson = self.instance.title
            reason = repeated_item_fault(repeated[0], lesson=lesson, stages=titles)
            self._refuse(reason)

    @staticmethod
    def _refuse(reason: str) -> NoReturn:
        raise forms.ValidationError(
            _("This lesson cannot be saved: %(reason)s."), params={"reason": reason}
        )
