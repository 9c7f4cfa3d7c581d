import core.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add what each row gets: a position, an event id, and the device's own times.

    The columns are empty until 0007 has numbered the rows. The last old index on the
    player is removed after the new ones are added: MariaDB needs one for the foreign key.
    """

    dependencies = [
        ("progress", "0005_move_review_rows"),
        ("players", "0011_records"),
    ]

    operations = [
        migrations.RemoveConstraint("interactionlog", "progress_idempotency_key_once"),
        migrations.RemoveIndex("interactionlog", "progress_player_time"),
        migrations.RenameField("interactionlog", "created_at", "received_at"),
        migrations.RenameField("interactionlog", "idempotency_key", "event_id"),
        migrations.AddField(
            "interactionlog", "seq", models.PositiveBigIntegerField(null=True)
        ),
        migrations.AddField(
            "interactionlog", "occurred_at", models.DateTimeField(null=True)
        ),
        migrations.AddField(
            "interactionlog",
            "best_hearts",
            models.PositiveSmallIntegerField(
                "best hearts",
                null=True,
                blank=True,
                help_text="Of this lesson in all subjects, with this row.",
            ),
        ),
        migrations.AddField(
            "interactionlog",
            "device_id",
            models.UUIDField("device", null=True, blank=True),
        ),
        migrations.AddField(
            "interactionlog",
            "device_seq",
            models.PositiveBigIntegerField(
                "position on the device", null=True, blank=True
            ),
        ),
        migrations.AddConstraint(
            "interactionlog",
            models.UniqueConstraint(
                fields=["player", "seq"], name="progress_position_once"
            ),
        ),
        migrations.AddConstraint(
            "interactionlog",
            models.UniqueConstraint(
                fields=["player", "event_id"], name="progress_event_once"
            ),
        ),
        migrations.AddIndex(
            "interactionlog",
            models.Index(fields=["received_at"], name="progress_received"),
        ),
        migrations.RemoveConstraint("interactionlog", "progress_record_once"),
        migrations.RemoveIndex("interactionlog", "progress_player_subject"),
        migrations.RemoveField("interactionlog", "record_of"),
        migrations.AddField(
            "structureprogress",
            "seq",
            models.PositiveBigIntegerField(
                "position", default=0, help_text="In the player's ledger."
            ),
        ),
    ]
