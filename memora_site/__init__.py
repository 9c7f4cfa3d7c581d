"""The site: settings, URLs, Celery, health, and code that needs several apps."""

from memora_site.celery import app as celery_app

__all__ = ["celery_app"]
