from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SiteConfig(AppConfig):
    """The site: code that needs several apps."""

    name = "memora_site"
    verbose_name = _("Memora")

    def ready(self) -> None:
        from memora_site import checks, registrar_alerts  # noqa: F401
