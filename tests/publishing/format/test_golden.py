"""Small trees and the exact documents built from them: ``golden/*.json``.

A change of the document format shows in the diff of these files. To write them again
after such a change, and then review the diff::

    MEMORA_WRITE_GOLDEN=1 .venv/bin/python -m pytest tests/publishing/format/test_golden.py
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from publishing.format.documents import PlanFields
from publishing.format.validation import validate_documents
from publishing.format.versioning import BuiltDocument
from tests.publishing.format.trees import (
    NOON,
    build,
    contents,
    lesson,
    records,
    stage,
    subject,
    text,
    topic,
    track,
    unit,
)

GOLDEN = Path(__file__).parent / "golden"

Documents = dict[str, BuiltDocument]


def access() -> Documents:
    """Every rule of the access table, and every reason why a node vanishes."""
    return build(
        [
            subject(
                "SUBJ-1",
                track(
                    "TRK-1",
                    unit(
                        "UNIT-PLAIN",
                        topic(
                            "TOP-PLAIN",
                            lesson("LES-SIGNED-IN", 0, text("STG-0")),
                            lesson("LES-PUBLIC", 1, text("STG-1"), is_public=True),
                            lesson("LES-OWN-ITEM", 2, required_item="ITEM-1"),
                        ),
                    ),
                    unit(
                        "UNIT-PAID",
                        topic(
                            "TOP-PAID",
                            lesson("LES-INHERITS-PAID", 3),
                            lesson("LES-PUBLIC-IN-PAID", 4, is_public=True),
                            lesson("LES-PIERCES", 5, is_free_preview=True),
                            lesson("LES-OTHER-ITEM", 6, required_item="ITEM-2"),
                            lesson("LES-SET-FREE", 7),
                            lesson("LES-SET-SIGNED-IN", 8),
                        ),
                        topic("TOP-SOLD", lesson("LES-IN-SOLD", 9)),
                        topic(
                            "TOP-SET-PUBLIC",
                            lesson("LES-IN-SET-PUBLIC", 10),
                            lesson("LES-SET-PAID", 11, required_item="ITEM-3"),
                            lesson("LES-SET-PAID-NO-ITEM", 12),
                        ),
                        required_item="UNIT-ITEM",
                    ),
                    unit(
                        "UNIT-GONE",
                        topic(
                            "TOP-GONE",
                            lesson("LES-HIDDEN", 13),
                            lesson("LES-DRAFT", 14, is_published=False),
                            lesson("LES-TRASHED", 15, is_trashed=True),
                        ),
                    ),
                ),
            ),
            subject("SUBJ-EMPTY", track("TRK-EMPTY"), is_public=True),
            subject("SUBJ-DRAFT", is_published=False),
        ],
        overrides={
            "LES-SET-FREE": [("set_free", "")],
            "LES-SET-SIGNED-IN": [("set_access_level", "authenticated")],
            "TOP-SOLD": [("set_sold_separately", "TOPIC-ITEM")],
            "TOP-SET-PUBLIC": [("set_access_level", "public")],
            "LES-SET-PAID": [("set_sold_separately", "")],
            "LES-SET-PAID-NO-ITEM": [("set_access_level", "paid")],
            "LES-HIDDEN": [("hide", "")],
        },
    )


def rename() -> Documents:
    """A plan's own titles, in every document but the lesson's, which plans share."""
    return build(
        [
            subject(
                "SUBJ-1",
                track(
                    "TRK-1",
                    unit(
                        "UNIT-1",
                        topic("TOP-1", lesson("LES-1", 0, text("STG-1"), title="Sums")),
                        title="Numbers",
                    ),
                ),
                title="Mathematics",
            )
        ],
        overrides={
            "SUBJ-1": [("rename", "Mathematics for grade 5")],
            "UNIT-1": [
                ("rename", "Whole numbers"),
                ("set_linear", "true"),
                ("set_free", ""),
            ],
            "LES-1": [("rename", "Adding")],
        },
    )


def linear() -> Documents:
    """Linear and free order at each level: the node's own, and the plan's override."""
    return build(
        [
            subject(
                "SUBJ-1",
                track(
                    "TRK-1",
                    unit(
                        "UNIT-1",
                        topic("TOP-IN-ORDER", lesson("LES-1", 0), is_linear=True),
                        topic("TOP-SET-FREE-ORDER", lesson("LES-2", 1), is_linear=True),
                        topic("TOP-SET-IN-ORDER", lesson("LES-3", 2)),
                        is_linear=True,
                    ),
                ),
                is_linear=True,
            )
        ],
        overrides={
            "SUBJ-1": [("set_linear", "false")],
            "TOP-SET-FREE-ORDER": [("set_linear", "false")],
            "TOP-SET-IN-ORDER": [("set_linear", "true")],
        },
    )


def gated() -> Documents:
    """A gated lesson, one that is open here, and one that another plan opens."""
    return build(
        [
            subject(
                "SUBJ-1",
                track(
                    "TRK-1",
                    unit(
                        "UNIT-1",
                        topic(
                            "TOP-1",
                            lesson("LES-GATED", 0, text("STG-1")),
                            lesson("LES-OPEN-HERE", 1, is_public=True),
                            lesson("LES-OPEN-ELSEWHERE", 2),
                            lesson("LES-GATED-PAID", 3, required_item="ALGEBRA"),
                        ),
                    ),
                ),
            )
        ],
        open_elsewhere=lambda lesson_id: lesson_id == "LES-OPEN-ELSEWHERE",
    )


def _film() -> list:
    return [
        subject(
            "SUBJ-1",
            track(
                "TRK-1",
                unit(
                    "UNIT-1",
                    topic(
                        "TOP-1",
                        lesson(
                            "LES-1",
                            0,
                            stage(
                                "STG-OURS",
                                "Video",
                                "Watch",
                                source="grade-5/fractions.mp4",
                                duration=180,
                            ),
                            stage(
                                "STG-THEIRS",
                                "Video",
                                "Watch more",
                                source="https://videos.example/intro",
                            ),
                            is_free_preview=True,
                        ),
                    ),
                ),
            ),
        )
    ]


def video() -> Documents:
    """A video of ours is signed for four hours; a URL of another host is not signed."""
    return build(_film())


def arabic() -> Documents:
    """Arabic titles unchanged, and folded in the search index."""
    return build(
        [
            subject(
                "SUBJ-1",
                track(
                    "TRK-1",
                    unit(
                        "UNIT-1",
                        topic(
                            "TOP-1",
                            lesson(
                                "LES-1",
                                0,
                                text("STG-1", "اقرأ الفقرة ثم أجب."),
                                title="الأرنبُ والسُّلَحْفاة",
                                description="قصّةٌ قصيرة من مكتبة المدرسة",
                                image="/media/images/أرنب.jpg",
                                base_xp=15,
                            ),
                            title="القِراءةُ الأولى",
                        ),
                        title="الوَحْدة ١",
                        description="مـــقدمة إلى Élan VITAL",
                    ),
                    title="المسار الأدبيّ",
                    description="لمن يحبّ القصص",
                ),
                title="لُغَتي",
                description="كتاب الطالب «لغتي» إلى مستوى أعلى",
                image="https://images.example/lughati.png",
                color_code="#0B7A75",
            )
        ],
        plan=PlanFields(
            id="PLAN-1",
            title="الصف الخامس",
            season="٢٠٢٦/٢٠٢٧",
            grade="الخامس",
            stream="العام",
        ),
    )


def sharded() -> Documents:
    """More lessons than the threshold: the search index is split by subject."""
    return build(
        [
            subject(
                "SUBJ-1",
                track("TRK-1", unit("UNIT-1", topic("TOP-1", lesson("LES-1", 0)))),
            ),
            subject(
                "SUBJ-2",
                track("TRK-2", unit("UNIT-2", topic("TOP-2", lesson("LES-2", 0)))),
            ),
            subject("SUBJ-EMPTY"),
        ],
        shard_threshold=1,
    )


def stages() -> Documents:
    """One stage of each type."""
    return build(
        [
            subject(
                "SUBJ-1",
                track(
                    "TRK-1",
                    unit(
                        "UNIT-1",
                        topic("TOP-1", lesson("LES-1", 0, *_one_stage_of_each_type())),
                    ),
                ),
            )
        ]
    )


def _one_stage_of_each_type() -> list:
    return [
        stage(
            "STG-VIDEO",
            "Video",
            "Watch",
            source="https://videos.example/intro",
            duration=95,
            captions=[
                {
                    "language": "ar",
                    "label": "العربية",
                    "cues": [{"start": 0, "end": 2.5, "text": "أهلًا"}],
                }
            ],
        ),
        stage("STG-TEXT", "Text", "Read", format="html", body="<p>A <b>half</b></p>"),
        stage(
            "STG-QUIZ",
            "Quiz",
            "Check yourself",
            shuffle_options=True,
            questions=[
                {
                    "id": "ITEM-Q1",
                    "prompt": "How much is ½ + ½?",
                    "options": [{"text": "1", "correct": True}, {"text": "2"}],
                    "explanation": "Two halves make a whole.",
                }
            ],
        ),
        stage(
            "STG-MATCHING",
            "Matching",
            "Match",
            pairs=[
                {"id": "ITEM-P1", "left": "½", "right": "half"},
                {"id": "ITEM-P2", "left": "¼", "right": "quarter"},
            ],
        ),
        stage(
            "STG-REVEAL",
            "Reveal",
            "Turn over",
            cards=[{"id": "ITEM-C1", "front": "0.5", "back": "½"}],
        ),
        stage(
            "STG-SENTENCE",
            "SentenceBuilder",
            "Build",
            sentences=[
                {
                    "id": "ITEM-S1",
                    "tokens": ["whole", "a", "make", "halves", "two"],
                    "answer": ["two", "halves", "make", "a", "whole"],
                }
            ],
        ),
        stage(
            "STG-FILL-IN",
            "FillIn",
            "Fill in",
            prompt="Type what is missing.",
            questions=[
                {
                    "id": "ITEM-F1",
                    "prompt": "<p>A half and a ___ make ___ quarters.</p>",
                    "gaps": [
                        {"answers": ["quarter", "fourth"]},
                        {"answers": ["3"], "tolerance": 0},
                    ],
                }
            ],
        ),
        stage(
            "STG-OPEN",
            "OpenAnswer",
            "Explain",
            questions=[
                {
                    "id": "ITEM-O1",
                    "prompt": "Why is ½ more than ¼?",
                    "model_answer": "Fewer parts are larger parts.",
                    "rubric": ["Compares the sizes of the parts"],
                }
            ],
        ),
        stage(
            "STG-INTERACTIVE",
            "Interactive",
            "Play",
            url="https://play.example/fractions",
            height=480,
            completion={"rule": "time", "seconds": 30},
        ),
    ]


def pictures() -> Documents:
    """The URLs of uploads in stages are absolute, whatever server has the document."""
    poster = "/media/images/stages/poster.png"
    return build(
        [
            subject(
                "SUBJ-1",
                track(
                    "TRK-1",
                    unit(
                        "UNIT-1",
                        topic(
                            "TOP-1",
                            lesson(
                                "LES-1",
                                0,
                                stage(
                                    "STG-WATCH",
                                    "Video",
                                    "Watch",
                                    source="grade-5/fractions.mp4",
                                    poster=poster,
                                ),
                                stage(
                                    "STG-MATCH",
                                    "Matching",
                                    "Match",
                                    pairs=[
                                        {
                                            "id": "ITEM-P1",
                                            "left": "/ means shared by",
                                            "left_image": "/media/half.png",
                                            "right": "half",
                                        },
                                        {
                                            "id": "ITEM-P2",
                                            "left": "¼",
                                            "left_image": "https://images.example/q",
                                            "right": "quarter",
                                        },
                                    ],
                                ),
                                stage(
                                    "STG-READ",
                                    "Text",
                                    "Read",
                                    format="html",
                                    body=(
                                        '<p><img src="/media/a.png" alt="a > b"> '
                                        '<a href="#b">b</a> &lt;img src="/c"&gt;</p>'
                                    ),
                                ),
                            ),
                        ),
                    ),
                ),
            )
        ]
    )


def guide() -> Documents:
    """The examples of ``docs/content-format.md``."""
    return build(
        [
            subject(
                "SUBJ-MATH",
                track(
                    "TRK-FRACTIONS",
                    unit(
                        "UNIT-MEANING",
                        topic(
                            "TOP-WHAT",
                            lesson(
                                "LES-SHARING",
                                0,
                                stage(
                                    "STG-WATCH",
                                    "Video",
                                    "شاهد",
                                    source="grade-5/sharing.mp4",
                                    duration=95,
                                ),
                                stage(
                                    "STG-CHECK",
                                    "Quiz",
                                    "تحقّق من فهمك",
                                    questions=[
                                        {
                                            "id": "ITEM-HALVES",
                                            "prompt": "كم نصفًا في الواحد؟",
                                            "options": [
                                                {"text": "اثنان", "correct": True},
                                                {"text": "ثلاثة"},
                                            ],
                                        }
                                    ],
                                ),
                                title="نقسم بالتساوي",
                                description="من القسمة العادلة يبدأ كل كسر.",
                                is_free_preview=True,
                            ),
                            lesson(
                                "LES-NAMES",
                                1,
                                text("STG-READ", "البسط فوق، والمقام تحت."),
                                title="البسط والمقام",
                                base_xp=15,
                            ),
                            title="ما الكسر؟",
                            is_linear=True,
                        ),
                        title="معنى الكسر",
                        required_item="FRACTIONS-5",
                    ),
                    title="الكسور العادية",
                    description="ما الكسر؟ وكيف نكتبه؟",
                ),
                title="الرياضيات: عالم الكسور",
                description="رحلة في الكسور",
                image="https://learn.example/media/images/fractions.png",
                color_code="#0B7A75",
            )
        ],
        plan=PlanFields(
            id="PLAN-G5",
            title="الصف الخامس",
            season="2026/2027",
            grade="الخامس",
        ),
    )


CASES: dict[str, Callable[[], Documents]] = {
    case.__name__: case
    for case in (
        access,
        rename,
        linear,
        gated,
        video,
        arabic,
        sharded,
        stages,
        pictures,
        guide,
    )
}


def shown(documents: Documents) -> str:
    """The documents as in a golden file: keys in their published order."""
    return json.dumps(contents(documents), ensure_ascii=False, indent=2) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_documents_are_exactly_the_golden_ones(name):
    documents = CASES[name]()
    file = GOLDEN / f"{name}.json"
    if os.environ.get("MEMORA_WRITE_GOLDEN"):
        file.write_text(shown(documents), encoding="utf-8")
    assert shown(documents) == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_golden_documents_are_what_would_be_published(name):
    documents = CASES[name]()
    validate_documents(documents.values())
    for document in documents.values():
        assert document.data == orjson.dumps(orjson.loads(document.data)), "compact"
        assert document.record.size == len(document.data)


def test_every_golden_file_belongs_to_a_case():
    assert {file.stem for file in GOLDEN.glob("*")} == set(CASES)


def test_a_signature_with_more_than_half_its_life_is_kept():
    first = build(_film())
    path = "lessons/LES-1.json"
    soon = build(_film(), previous=records(first), now=NOON + 2 * 3600 - 1)
    assert not any(document.changed for document in soon.values())
    assert soon[path].data == first[path].data
    later = build(_film(), previous=records(first), now=NOON + 2 * 3600)
    assert [path for path in later if later[path].changed] == [path]
    assert later[path].record.version == first[path].record.version
    assert later[path].record.signed_until == NOON + 6 * 3600


def test_a_plan_without_subjects_is_a_manifest_and_an_empty_index():
    found = contents(build([]))
    assert list(found) == [
        "plans/PLAN-1/manifest.json",
        "plans/PLAN-1/search_index.json",
    ]
    assert found["plans/PLAN-1/manifest.json"]["subjects"] == []
    assert found["plans/PLAN-1/search_index.json"]["items"] == []
