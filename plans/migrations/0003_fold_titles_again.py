"""Write the folded titles by the rules of version 3 of ``core.folding``."""

from django.db import migrations

from core.refolding import refold


def fold_titles(apps, schema_editor):
    for name in ("Season", "Grade", "Stream", "AcademicPlan"):
        model = apps.get_model("plans", name)
        refold(model, "title_folded", using=schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [("plans", "0002_folded_titles")]

    operations = [migrations.RunPython(fold_titles, migrations.RunPython.noop)]
