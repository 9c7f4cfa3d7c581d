"""Products: what the codes of paid content mean."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.fields import validate_item_code
from core.fields import (
    ExactCharField,
    FoldedField,
    FoldingModel,
    FoldingQuerySet,
    TitleField,
)


class Product(FoldingModel, models.Model):
    """A product that the school sells.

    Content, overrides, entitlements and rules hold its code as text, without a foreign
    key: published files and imports contain the code itself.
    """

    code = ExactCharField(
        _("product code"),
        max_length=64,
        unique=True,
        validators=[validate_item_code],
        help_text=_("The app gets this code. It cannot change once it is used."),
    )
    title = TitleField(
        _("title"), max_length=255, help_text=_("For staff; students do not see it.")
    )
    title_folded = FoldedField("title")

    objects = FoldingQuerySet.as_manager()

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} – {self.title}"
