"""Read-only admin of ledger, snapshots, cards and ratings; services correct them."""

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from core.admin_mixins import ReadOnlyAdmin, readable_json
from progress.models import (
    InteractionLog,
    ReviewCard,
    ReviewRating,
    StructureProgress,
)


@admin.register(InteractionLog)
class InteractionLogAdmin(ReadOnlyAdmin):
    list_display = (
        "seq",
        "received_at",
        "player",
        "type",
        "reference_id",
        "hearts",
        "xp",
        "freezes",
    )
    list_filter = ("type", "received_at")
    list_select_related = ("player__user",)
    search_fields = ("=reference_id", "=subject_id", "player__user__email")
    search_help_text = gettext_lazy("Search by lesson id, subject id or e-mail")
    fields = (
        "player",
        "seq",
        "occurred_at",
        "received_at",
        "type",
        "reference_id",
        "subject_id",
        "bit_index",
        "hearts",
        "xp",
        "freezes",
        "day",
        "last_day",
        "event_id",
        "device_id",
        "device_seq",
        "device_time",
        "details",
    )

    @admin.display(description=gettext_lazy("details"))
    def details(self, entry: InteractionLog) -> SafeString:
        return readable_json(entry.data)


@admin.register(StructureProgress)
class StructureProgressAdmin(ReadOnlyAdmin):
    list_display = (
        "player",
        "subject_id",
        "passed_lessons",
        "total_xp_earned",
        "last_synced_at",
    )
    list_select_related = ("player__user",)
    ordering = ("-last_synced_at",)
    search_fields = ("=subject_id", "player__user__email")
    search_help_text = gettext_lazy("Search by subject id or e-mail")
    fields = (
        "player",
        "subject_id",
        "passed_lessons",
        "total_xp_earned",
        "hearts",
        "progress_bitmap",
        "last_synced_at",
    )

    @admin.display(description=gettext_lazy("best hearts"))
    def hearts(self, snapshot: StructureProgress) -> SafeString:
        return readable_json(snapshot.best_hearts)


@admin.register(ReviewCard)
class ReviewCardAdmin(ReadOnlyAdmin):
    list_display = (
        "item_id",
        "player",
        "lesson_id",
        "is_active",
        "due_at",
        "last_reviewed_at",
    )
    list_select_related = ("player__user",)
    ordering = ("due_at",)
    search_fields = ("=item_id", "=lesson_id", "player__user__email")
    search_help_text = gettext_lazy("Search by item id, lesson id or e-mail")
    fields = (
        "item_id",
        "player",
        "lesson_id",
        "subject_id",
        "is_active",
        "met_at",
        "due_at",
        "last_reviewed_at",
        "failures",
        "buried_until",
        "memory",
    )

    @admin.display(description=gettext_lazy("memory"))
    def memory(self, card: ReviewCard) -> SafeString:
        return readable_json(card.state)


@admin.register(ReviewRating)
class ReviewRatingAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "player", "item_id", "rating", "reviewed_at")
    list_select_related = ("player__user",)
    search_fields = ("=item_id", "=lesson_id", "player__user__email")
    search_help_text = gettext_lazy("Search by item id, lesson id or e-mail")
    fields = (
        "received_at",
        "player",
        "position",
        "item_id",
        "lesson_id",
        "subject_id",
        "rating",
        "reviewed_at",
        "idempotency_key",
        "answer",
    )

    @admin.display(description=gettext_lazy("batch"))
    def answer(self, rating: ReviewRating) -> SafeString:
        return readable_json(rating.batch)
