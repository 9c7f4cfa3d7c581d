import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("plans", "0002_folded_titles"),
        ("players", "0016_school_number_and_phone"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeviceReplacement",
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
                ("replaced_at", models.DateTimeField(verbose_name="when")),
                (
                    "player",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="players.playerprofile",
                    ),
                ),
                (
                    "season",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="plans.season",
                    ),
                ),
            ],
            options={
                "verbose_name": "device replacement",
                "verbose_name_plural": "device replacements",
                "default_permissions": (),
            },
        ),
        migrations.AlterField(
            model_name="securityevent",
            name="type",
            field=models.CharField(
                choices=[
                    ("login", "signed in"),
                    ("logout", "signed out"),
                    ("refused", "sign-in refused"),
                    ("session_ended", "session ended"),
                    ("device_added", "device added"),
                    ("device_removed", "device removed"),
                    ("device_replaced", "device replaced"),
                    ("rate_limited", "too many requests"),
                    ("staff_login", "signed in to the admin"),
                    ("staff_login_failed", "sign-in to the admin failed"),
                    ("staff_logout", "signed out of the admin"),
                    ("account_activated", "account switched on"),
                    ("account_deactivated", "account switched off"),
                    ("password_changed", "password changed"),
                    ("reset_requested", "password reset requested"),
                    ("reset_code_issued", "password reset code issued"),
                    ("password_reset", "password reset"),
                    ("email_changed", "e-mail changed"),
                    ("rights_changed", "rights changed"),
                    ("enrollment_added", "enrolment added"),
                    ("enrollment_changed", "enrolment changed"),
                    ("enrollment_removed", "enrolment removed"),
                    ("entitlement_added", "entitlement added"),
                    ("entitlement_changed", "entitlement changed"),
                    ("entitlement_removed", "entitlement removed"),
                    ("plan_activated", "plan chosen"),
                    ("wallet_corrected", "XP corrected"),
                    ("wallets_synced", "wallets saved"),
                    ("player_erased", "student erased"),
                    ("player_exported", "student exported"),
                ],
                max_length=20,
                verbose_name="what",
            ),
        ),
    ]
