"""What the rules read and return."""

from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import get_language, gettext as _, gettext_lazy

from content.json_errors import Path
from content.stage_types import SCHEMAS, translated_texts
from content.tree import ContentNode


class Problem(TextChoices):
    """The kinds of findings, in the order of the report."""

    EMPTY_LESSON = "empty_lesson", gettext_lazy("Empty lessons")
    BROKEN_LINK = "broken_link", gettext_lazy("Broken links and files")
    NO_ALT = "no_alt", gettext_lazy("Pictures without alternative text")
    NO_CAPTIONS = "no_captions", gettext_lazy("Videos without captions")
    LOW_CONTRAST = "low_contrast", gettext_lazy("Colours with low contrast")
    DUPLICATE = "duplicate", gettext_lazy("Duplicates")
    NO_EXPLANATION = "no_explanation", gettext_lazy("Questions without explanations")
    DEFAULT_DURATION = "default_duration", gettext_lazy("Durations left at the default")
    LONG_SENTENCE = "long_sentence", gettext_lazy("Long sentences in Arabic (a hint)")

    @property
    def advice(self) -> str:
        """What the editor can do, and what the rule does not know."""
        return str(_ADVICE[self])


_ADVICE = {
    Problem.EMPTY_LESSON: gettext_lazy("Add a stage, or keep the lesson as a draft."),
    Problem.BROKEN_LINK: gettext_lazy(
        "Correct the address or upload the file. Other sites are not asked whether their "
        "pages exist."
    ),
    Problem.NO_ALT: gettext_lazy(
        "Describe what the picture shows, for students who do not see it. A picture that "
        "only decorates needs no description."
    ),
    Problem.NO_CAPTIONS: gettext_lazy(
        "Upload captions (WebVTT) for students who do not hear the video."
    ),
    Problem.LOW_CONTRAST: gettext_lazy(
        "Choose a lighter or a darker colour. Contrast is measured as in WCAG 2.1."
    ),
    Problem.DUPLICATE: gettext_lazy(
        "The text came before in this subject; case, tashkeel and the forms of letters do "
        "not matter."
    ),
    Problem.NO_EXPLANATION: gettext_lazy(
        "Say why the answer is right, or give a model answer."
    ),
    Problem.DEFAULT_DURATION: gettext_lazy(
        "Enter how long the stage takes. If it is the default, nobody may have thought "
        "about it."
    ),
    Problem.LONG_SENTENCE: gettext_lazy(
        "Long sentences are hard to read. Only words are counted: "
        "quotations and lists may be long for good reasons."
    ),
}


@dataclass(frozen=True, slots=True)
class StageContent:
    """A stage with its lesson; ``lines`` are its words (`content.stage_texts`)."""

    lesson: ContentNode
    id: str
    type: str
    title: str
    config: dict[str, Any]
    target_time: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a node or, with ``stage``, of a stage of this lesson.

    ``path`` is the place in the stage's config, () if it is the whole stage.
    ``other`` is the stage that has the same text.
    """

    problem: Problem
    node: ContentNode
    detail: str = ""
    stage: StageContent | None = None
    path: Path = ()
    other: StageContent | None = None

    @property
    def place(self) -> str:
        """The place in the stage in words, such as “Question 3”; "" if there is none."""
        return place_in(self.stage.type, self.path) if self.stage else ""


def place_in(type_name: str, path: Path) -> str:
    """Return the entry of a list that ``path`` starts with, such as “Question 3”."""
    if len(path) < 2 or not isinstance(path[1], int):
        return ""
    schema = SCHEMAS[type_name]["properties"][path[0]]["items"]
    title = translated_texts(schema, get_language() or "en").get("title", "")
    return _("%(entry)s %(number)d") % {"entry": title, "number": path[1] + 1}


def of_stage(
    problem: Problem, stage: StageContent, detail: str = "", path: Path = ()
) -> Finding:
    """Return a finding of a stage."""
    return Finding(problem, stage.lesson, detail, stage, path)
