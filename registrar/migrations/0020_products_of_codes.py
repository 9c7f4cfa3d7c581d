"""Create a product for each code in use; its title is the code.

The migration is in this app because it reads the tables of all apps that hold codes.
"""

from django.db import migrations

_CODES = [
    ("content", "Node", "required_item", {}),
    ("plans", "PlanOverride", "value", {"action": "set_sold_separately"}),
    (
        "plans",
        "ScheduledChange",
        "value",
        {"override": "set_sold_separately", "state": "waiting"},
    ),
    ("players", "Entitlement", "item", {}),
    ("registrar", "ProgramAccess", "item", {}),
    ("registrar", "GivenAccess", "item", {}),
]
_BATCH_SIZE = 500


def create_products(apps, schema_editor):
    using = schema_editor.connection.alias
    codes = set()
    for app, model, field, conditions in _CODES:
        rows = apps.get_model(app, model)._base_manager.using(using)
        found = rows.filter(**conditions).exclude(**{field: ""}).order_by()
        # Not DISTINCT: some columns compare without case on MariaDB.
        codes.update(found.values_list(field, flat=True).iterator(chunk_size=2000))
    product = apps.get_model("content", "Product")
    product._base_manager.using(using).bulk_create(
        [product(code=code, title=code) for code in sorted(codes)],
        batch_size=_BATCH_SIZE,
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("content", "0007_product"),
        ("plans", "0004_scheduled_changes"),
        ("players", "0029_fold_names_again"),
        ("registrar", "0019_grade_names"),
    ]

    operations = [migrations.RunPython(create_products, migrations.RunPython.noop)]
