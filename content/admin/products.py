"""Products in the admin. What uses a product protects it and its code."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _, gettext_lazy

from content import products
from content.models import Product
from core.searching import FoldedSearch


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Product
        fields = ("code", "title")
        widgets = {"code": forms.TextInput(attrs={"dir": "ltr", "class": "vTextField"})}

    def clean_code(self) -> str:
        """Refuse another code for a product in use.

        Raises:
            ValidationError: it says where the stored code is used.
        """
        code: str = self.cleaned_data["code"]
        before = self.initial.get("code")
        if before and code != before and (found := products.uses(before)):
            raise ValidationError(
                _("“%(code)s” cannot change, because it is used: %(uses)s."),
                code="used",
                params={"code": before, "uses": products.uses_text(found)},
            )
        return code


@admin.register(Product)
class ProductAdmin(FoldedSearch, admin.ModelAdmin):  # type: ignore[type-arg]
    """Product codes with their titles, for all forms that ask for a product."""

    form = ProductForm
    list_display = ("code", "title")
    search_fields = ("title_folded", "code")
    search_help_text = gettext_lazy("Search by code or title")
    list_per_page = 50
    ordering = ("code",)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Protect the products in use; the page lists them and deletes nothing."""
        deleted, counts, perms, protected = super().get_deleted_objects(objs, request)
        used = [
            _("%(product)s, used: %(uses)s")
            % {"product": product, "uses": products.uses_text(found)}
            for product in objs
            if (found := products.uses(product.code))
        ]
        return deleted, counts, perms, [*protected, *used]
