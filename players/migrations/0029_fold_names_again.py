"""Write the folded names by the rules of version 3 of ``core.folding``."""

from django.db import migrations

from core.refolding import refold


def fold_names(apps, schema_editor):
    using = schema_editor.connection.alias
    refold(apps.get_model("players", "User"), "full_name_folded", using=using)
    refold(apps.get_model("players", "StudyGroup"), "name_folded", using=using)


class Migration(migrations.Migration):
    dependencies = [("players", "0028_freezes_given")]

    operations = [migrations.RunPython(fold_names, migrations.RunPython.noop)]
