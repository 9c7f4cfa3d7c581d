"""Import and export a subject as one file, ``memora-curriculum/1``, or as a ZIP.

An import is one transaction under the subject's lock: all or nothing. It reads the
subject in a fixed number of queries, compares it in memory and writes only the
differences. The intervals of new branches are computed and the nodes are inserted in
bulk.

A file describes its nodes completely: a missing field gets its default. Nodes and
stages that are not in the file are not changed; they follow those in the file. A node
in the file that is in the trash is restored.

A ZIP has one such file and the pictures, recordings, videos and captions that it names
by relative paths. They are stored before the transaction, and removed if it fails.

`content.curriculum_format` parses the file and `loading` reads the database.
`archive` checks a ZIP and `media_files` stores its media. `validation` checks the file
against the database, `planning` finds the differences and `writing` stores them.
`merging` is for a file that is a part of a subject, `remarks` names what the import
would double or leaves out.
"""

from content.curriculum.exporting import (
    SubjectNotFoundError,
    export_archive,
    export_curriculum,
)
from content.curriculum.importing import Check, Options, import_curriculum
from content.curriculum.report import Counts, ImportReport

__all__ = [
    "Check",
    "Counts",
    "ImportReport",
    "Options",
    "SubjectNotFoundError",
    "export_archive",
    "export_curriculum",
    "import_curriculum",
]
