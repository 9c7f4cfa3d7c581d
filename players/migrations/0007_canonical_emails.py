"""E-mail addresses are compared exactly and stored in their canonical form."""

from collections import defaultdict

from django.db import migrations

import players.fields
from players.credentials import canonical_email


def store_canonical_emails(apps, schema_editor):
    """Rewrite every address; nothing is written when two become one.

    Raises:
        RuntimeError: accounts share an address, or one has none; names them by id.
    """
    users = apps.get_model("players", "User").objects.using(
        schema_editor.connection.alias
    )
    stored = dict(users.order_by("pk").values_list("pk", "email"))
    accounts = defaultdict(list)
    for pk, email in stored.items():
        accounts[canonical_email(email)].append(pk)
    faults = [
        f"no usable address: user {pk}"
        for email, pks in accounts.items()
        for pk in pks
        if not email or len(email) > 254
    ] + [
        f"one address in different spellings: users {', '.join(map(str, pks))}"
        for email, pks in accounts.items()
        if email and len(pks) > 1
    ]
    if faults:
        raise RuntimeError(
            "Some accounts cannot keep their e-mail addresses; nothing was changed. "
            "Give each of these users an address of its own (UPDATE players_user SET "
            "email = … WHERE id = …), then migrate again: " + "; ".join(faults)
        )
    for email, (pk,) in accounts.items():
        if stored[pk] != email:
            users.filter(pk=pk).update(email=email)


class Migration(migrations.Migration):

    dependencies = [
        ("players", "0006_photo_names"),
    ]

    operations = [
        # The column first: an old collation might take two canonical addresses for one.
        migrations.AlterField(
            model_name="user",
            name="email",
            field=players.fields.CanonicalEmailField(
                max_length=254, unique=True, verbose_name="e-mail"
            ),
        ),
        migrations.RunPython(store_canonical_emails, migrations.RunPython.noop),
    ]
