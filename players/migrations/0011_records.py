from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("players", "0010_folded_names")]

    operations = [
        migrations.AddField(
            "playerprofile",
            "sign_in_version",
            models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            "playerprofile",
            "access_version",
            models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            "playerwallet",
            "seq",
            models.PositiveBigIntegerField(
                "position", default=0, help_text="In the player's ledger."
            ),
        ),
        migrations.CreateModel(
            "WriteBackRun",
            [
                (
                    "kind",
                    models.CharField(max_length=20, primary_key=True, serialize=False),
                ),
                ("complete_until", models.DateTimeField()),
            ],
        ),
    ]
