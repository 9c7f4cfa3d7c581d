"""URLs of published files and videos, below ``/files/``."""

from django.urls import path

from publishing import views

urlpatterns = [
    path("memora_content/<path:path>", views.content_file, name="content-file"),
    path("videos/<path:path>", views.video_file, name="video-file"),
]
