import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("progress", "0007_number_ledger")]

    operations = [
        migrations.AlterField(
            "interactionlog",
            "seq",
            models.PositiveBigIntegerField(
                "position", help_text="1, 2, 3 … in the player's ledger."
            ),
        ),
        migrations.AlterField(
            "interactionlog",
            "event_id",
            models.CharField(
                "event id",
                max_length=64,
                help_text="The SHA-256 of the client's key, or the server's own id.",
            ),
        ),
        migrations.AlterField(
            "interactionlog",
            "occurred_at",
            models.DateTimeField("when", help_text="The corrected time of the device."),
        ),
        migrations.AlterField(
            "interactionlog", "received_at", models.DateTimeField("received")
        ),
        migrations.AlterField(
            "interactionlog",
            "day",
            models.DateField(
                "streak day",
                null=True,
                blank=True,
                help_text="The date when it was done; a correction has none.",
            ),
        ),
        migrations.AlterField(
            "interactionlog",
            "player",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="interactions",
                to="players.playerprofile",
                verbose_name="player",
            ),
        ),
        migrations.AlterModelOptions(
            "interactionlog",
            options={
                "base_manager_name": "references",
                "ordering": ["-received_at", "-pk"],
                "verbose_name": "interaction",
                "verbose_name_plural": "interactions",
            },
        ),
    ]
