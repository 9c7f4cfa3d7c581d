"""Importing and exporting a subject as one file, ``memora-curriculum/1``.

An import is one transaction under the subject's lock: the whole file or nothing.
It reads the subject in a fixed number of queries, compares in memory, and writes
only what differs; new branches get their places computed and are inserted in bulk.

A file describes the nodes it names completely: what it leaves out of a node has its
default. Nodes and stages it does not name stay as they are, after those it names.
A named node that lay in the trash comes back from it.

`content.curriculum_format` knows the file, `stored` the database; `checking` says what
the one has against the other, `planning` what differs, `writing` writes that.
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
