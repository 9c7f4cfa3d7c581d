"""Turn files of other programs into curriculum files, and say what cannot be kept.

Each module reads one format and returns an `Outline`: question banks (`gift`,
`moodle_xml`, `question_sheet`) and documents (`html_document`, `docx`). `converting`
places an outline in a subject; the result is a curriculum file, or a ZIP of one with
its pictures. `running` gives it to `content.curriculum`, so validation, trial run,
report and ids are those of any import.
"""

from content.importers.converting import MAX_BYTES, SUFFIXES
from content.importers.outlines import ImporterError
from content.importers.running import import_file

__all__ = ["MAX_BYTES", "SUFFIXES", "ImporterError", "import_file"]
