import core.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('players', '0015_plan_choice'),
    ]

    operations = [
        migrations.AddField(
            model_name='playerprofile',
            name='phone',
            field=core.fields.ExactCharField(blank=True, default='', help_text="With the country's code, such as +964 770 123 4567.", max_length=16, verbose_name='phone'),
        ),
        migrations.AddField(
            model_name='playerprofile',
            name='school_number',
            field=core.fields.ExactCharField(blank=True, help_text='The number by which the school knows the student.', max_length=32, null=True, unique=True, verbose_name='school number'),
        ),
    ]
