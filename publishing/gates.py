"""Which lesson files anyone may read (DESIGN 4)."""

from publishing.models import LessonOffer


def is_gated(lesson_id: str) -> bool:
    """Whether no release offers the lesson as ``public`` or ``free_preview``."""
    return not LessonOffer.objects.filter(lesson_id=lesson_id, is_open=True).exists()
