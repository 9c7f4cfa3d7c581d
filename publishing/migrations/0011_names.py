"""Rename models and fields; tables and columns keep their names."""

from django.db import migrations, models

FIELDS = [
    (
        'publication',
        'fence',
        'build_number',
        models.PositiveBigIntegerField(db_column='fence', default=0),
    ),
    (
        'publication',
        'switching',
        'needs_full_build_since',
        models.PositiveBigIntegerField(blank=True, db_column='switching', null=True),
    ),
    (
        'publication',
        'leaving_since',
        'withdrawal_due_since',
        models.DateTimeField(db_column='leaving_since', editable=False, null=True),
    ),
    (
        'uploadeddocument',
        'packed',
        'gzipped',
        models.BooleanField(db_column='packed', default=False),
    ),
    (
        'uploadeddocument',
        'edition',
        'switch_number',
        models.PositiveBigIntegerField(db_column='edition', default=0),
    ),
    (
        'uploadeddocument',
        'leaving_since',
        'obsolete_since',
        models.DateTimeField(db_column='leaving_since', editable=False, null=True),
    ),
]


class Migration(migrations.Migration):

    dependencies = [
        ('publishing', '0010_cdn_place_and_silence'),
    ]

    operations = [
        # An operation that changes neither table nor column leaves the database alone.
        migrations.AlterModelTable('LessonOffer', 'publishing_lessonoffer'),
        migrations.RenameModel('LessonOffer', 'PlanLesson'),
        migrations.AlterModelOptions(
            'PlanLesson',
            {'verbose_name': 'plan lesson', 'verbose_name_plural': 'plan lessons'},
        ),
        migrations.AlterField(
            'PlanLesson',
            'publication',
            models.ForeignKey(
                on_delete=models.CASCADE,
                related_name='plan_lessons',
                to='publishing.publication',
            ),
        ),
        migrations.AlterModelTable('SwitchLock', 'publishing_switchlock'),
        migrations.RenameModel('SwitchLock', 'ReleaseCounters'),
        migrations.AlterModelOptions(
            'ReleaseCounters',
            {
                'verbose_name': 'release counters',
                'verbose_name_plural': 'release counters',
            },
        ),
        *(
            operation
            for model, old, new, field in FIELDS
            for operation in (
                migrations.AlterField(model, old, field),
                migrations.RenameField(model, old, new),
            )
        ),
    ]
