from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PublishingConfig(AppConfig):
    """Publishing: builds content and plans into the files that students read."""

    name = "publishing"
    verbose_name = _("Publishing")

    def ready(self) -> None:
        from publishing import checks, deletion_warnings, receivers  # noqa: F401
        from publishing.admin_views import lesson_panel  # noqa: F401
        from publishing.signing import videos  # noqa: F401
        from publishing.storage import published_media  # noqa: F401
