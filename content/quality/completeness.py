"""What authors left out: stages, durations, explanations."""

from collections.abc import Iterable, Iterator

from django.utils.translation import gettext as _, ngettext

from content.models import LessonStage
from content.quality.findings import Finding, Problem, StageContent, of_stage
from content.stage_types import SCHEMAS
from content.tree import ContentNode

DEFAULT_SECONDS: int = LessonStage._meta.get_field("target_time").default
_EXPLANATIONS = ("explanation", "model_answer")
_MAX_NUMBERS = 20


def _question_lists() -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each type with questions: the field of its list, and of an explanation."""
    for type_name, schema in SCHEMAS.items():
        for field, place in schema["properties"].items():
            inner = place.get("items", {}).get("properties", {})
            for name in _EXPLANATIONS:
                if name in inner:
                    yield type_name, (field, name)


QUESTIONS = dict(_question_lists())


def empty_lessons(lessons: Iterable[ContentNode]) -> Iterator[Finding]:
    """Yield the lessons without a stage."""
    for lesson in lessons:
        if not lesson.stages:
            detail = _("The lesson has no stages.")
            yield Finding(Problem.EMPTY_LESSON, lesson, detail)


def default_durations(stages: Iterable[StageContent]) -> Iterator[Finding]:
    """Yield the stages whose duration is the default of new stages."""
    for stage in stages:
        if stage.target_time == DEFAULT_SECONDS:
            detail = ngettext(
                "%(count)d second, as in every new stage",
                "%(count)d seconds, as in every new stage",
                DEFAULT_SECONDS,
            )
            detail %= {"count": DEFAULT_SECONDS}
            yield of_stage(Problem.DEFAULT_DURATION, stage, detail)


def missing_explanations(stages: Iterable[StageContent]) -> Iterator[Finding]:
    """Yield the stages with questions that have no explanation or model answer."""
    for stage in stages:
        if stage.type not in QUESTIONS:
            continue
        field, name = QUESTIONS[stage.type]
        questions = stage.config.get(field) or []
        found = [at for at, one in enumerate(questions) if not one.get(name)]
        if found:
            detail = _numbers(found, of=len(questions))
            yield of_stage(Problem.NO_EXPLANATION, stage, detail, (field,))


def _numbers(found: list[int], *, of: int) -> str:
    numbers = [str(at + 1) for at in found[:_MAX_NUMBERS]]
    if len(found) > _MAX_NUMBERS:
        numbers.append("…")
    return _("Missing in %(count)d of %(total)d, by number: %(numbers)s") % {
        "count": len(found),
        "total": of,
        "numbers": " · ".join(numbers),
    }
