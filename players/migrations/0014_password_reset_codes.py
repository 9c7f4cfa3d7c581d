import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("players", "0013_locale_and_time_zone")]

    operations = [
        migrations.CreateModel(
            name="PasswordResetCode",
            fields=[
                (
                    "player",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="players.playerprofile",
                    ),
                ),
                ("code_hash", models.CharField(max_length=64)),
                (
                    "attempts_left",
                    models.PositiveSmallIntegerField(verbose_name="attempts left"),
                ),
                (
                    "expires_at",
                    models.DateTimeField(db_index=True, verbose_name="expires"),
                ),
            ],
            options={
                "verbose_name": "password reset code",
                "verbose_name_plural": "password reset codes",
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
