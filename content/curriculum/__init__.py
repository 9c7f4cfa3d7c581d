"""Import and export a subject as one file, ``memora-curriculum/1``.

An import is one transaction under the subject's lock: all or nothing. It reads the
subject in a fixed number of queries, compares it in memory and writes only the
differences. The intervals of new branches are computed and the nodes are inserted in
bulk.

A file describes its nodes completely: a missing field gets its default. Nodes and
stages that are not in the file are not changed; they follow those in the file. A node
in the file that is in the trash is restored.

`content.curriculum_format` parses the file and `loading` reads the database.
`validation` checks the file against the database, `planning` finds the differences and
`writing` stores them.
"""

from content.curriculum.exporting import SubjectNotFoundError, export_curriculum
from content.curriculum.importing import import_curriculum
from content.curriculum.report import Counts, ImportReport

__all__ = [
    "Counts",
    "ImportReport",
    "SubjectNotFoundError",
    "export_curriculum",
    "import_curriculum",
]
