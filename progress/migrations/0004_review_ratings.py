"""Ratings get a log of their own, and cards follow the published items."""

from datetime import UTC, datetime

import django.core.validators
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import core.fields

UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""`0005_move_review_rows` replaces it."""


class Migration(migrations.Migration):
    dependencies = [
        ("players", "0010_folded_names"),
        ("progress", "0003_append_only"),
    ]

    operations = [
        migrations.AlterField(
            model_name="interactionlog",
            name="type",
            field=models.CharField(
                choices=[
                    ("lesson_completed", "lesson completed"),
                    ("lesson_failed", "lesson failed"),
                    ("xp_corrected", "XP corrected"),
                ],
                max_length=20,
                verbose_name="what",
            ),
        ),
        migrations.AddField(
            model_name="reviewcard",
            name="is_active",
            field=models.BooleanField(
                default=False,
                help_text=(
                    "The item is in the release of the player's plan, and the player "
                    "may open its lesson."
                ),
                verbose_name="active",
            ),
        ),
        migrations.AddField(
            model_name="reviewcard",
            name="met_at",
            field=models.DateTimeField(
                default=UNKNOWN,
                help_text="When its lesson was completed for the first time.",
                verbose_name="met",
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="reviewcard",
            name="lesson_id",
            field=core.fields.ExactCharField(
                help_text="Where the item is published, or was last.",
                max_length=64,
                verbose_name="lesson",
            ),
        ),
        # First the new index: MariaDB keeps one for the foreign key at any time.
        migrations.AddIndex(
            model_name="reviewcard",
            index=models.Index(
                fields=["player", "is_active", "subject_id", "due_at"],
                name="progress_due_in_subject",
            ),
        ),
        migrations.AlterField(
            model_name="reviewcard",
            name="player",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="review_cards",
                to="players.playerprofile",
                verbose_name="player",
            ),
        ),
        migrations.RemoveConstraint(model_name="reviewcard", name="progress_one_card"),
        migrations.RemoveIndex(model_name="reviewcard", name="progress_due"),
        migrations.AddConstraint(
            model_name="reviewcard",
            constraint=models.UniqueConstraint(
                fields=("player", "item_id", "lesson_id"), name="progress_one_card"
            ),
        ),
        migrations.AddIndex(
            model_name="reviewcard",
            index=models.Index(
                fields=["player", "is_active", "due_at"], name="progress_due"
            ),
        ),
        migrations.CreateModel(
            name="ReviewRating",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "position",
                    models.PositiveBigIntegerField(
                        help_text="1, 2, 3 … in the player's log of ratings.",
                        verbose_name="position",
                    ),
                ),
                (
                    "item_id",
                    core.fields.ExactCharField(max_length=64, verbose_name="item"),
                ),
                (
                    "lesson_id",
                    core.fields.ExactCharField(max_length=64, verbose_name="lesson"),
                ),
                (
                    "subject_id",
                    core.fields.ExactCharField(max_length=64, verbose_name="subject"),
                ),
                (
                    "rating",
                    models.PositiveSmallIntegerField(
                        help_text="1 again, 2 hard, 3 good, 4 easy.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(4),
                        ],
                        verbose_name="rating",
                    ),
                ),
                (
                    "reviewed_at",
                    models.DateTimeField(
                        help_text=(
                            "As the app says, but not before the item was met."
                        ),
                        verbose_name="answered",
                    ),
                ),
                ("received_at", models.DateTimeField(verbose_name="received")),
                (
                    "idempotency_key",
                    models.CharField(
                        blank=True,
                        max_length=64,
                        null=True,
                        verbose_name="idempotency key (SHA-256)",
                    ),
                ),
                (
                    "batch",
                    models.JSONField(
                        blank=True,
                        help_text=(
                            "With a key: the fingerprint of the request, and its "
                            "answer."
                        ),
                        null=True,
                        verbose_name="batch",
                    ),
                ),
                (
                    "card",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="ratings",
                        to="progress.reviewcard",
                        verbose_name="card",
                    ),
                ),
                (
                    "player",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="review_ratings",
                        to="players.playerprofile",
                        verbose_name="player",
                    ),
                ),
            ],
            options={
                "verbose_name": "rating",
                "verbose_name_plural": "ratings",
                "ordering": ["-pk"],
                "abstract": False,
                "base_manager_name": "references",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("player", "position"),
                        name="progress_rating_position_once",
                    ),
                    models.UniqueConstraint(
                        fields=("player", "idempotency_key"),
                        name="progress_rating_key_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rating__gte", 1), ("rating__lte", 4)),
                        name="progress_rating_of_four",
                    ),
                ],
                "indexes": [
                    models.Index(
                        fields=["card", "reviewed_at", "position"],
                        name="progress_card_history",
                    )
                ],
            },
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("references", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="ReviewWatermark",
            fields=[
                (
                    "player",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="review_watermark",
                        serialize=False,
                        to="players.playerprofile",
                        verbose_name="player",
                    ),
                ),
                (
                    "ledger_position",
                    models.PositiveBigIntegerField(
                        default=0,
                        help_text="Completions up to here have their cards.",
                        verbose_name="position in the ledger",
                    ),
                ),
                (
                    "items_version",
                    models.CharField(
                        blank=True,
                        help_text=(
                            "The published items and products that the cards follow."
                        ),
                        max_length=64,
                        verbose_name="items",
                    ),
                ),
            ],
            options={
                "verbose_name": "review watermark",
                "verbose_name_plural": "review watermarks",
            },
        ),
    ]
