"""The admin, as ours: its name and its own templates."""

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class MemoraAdminSite(admin.AdminSite):
    """Django's admin under Memora's name."""

    site_header = _("Memora")
    site_title = _("Memora")
    index_title = _("Home")


class MemoraAdminConfig(AdminConfig):
    default_site = "memora_site.admin_site.MemoraAdminSite"
