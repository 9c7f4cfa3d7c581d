"""The site: settings, URLs, Celery, health; what joins the apps."""

from memora_site.celery import app as celery_app

__all__ = ["celery_app"]
