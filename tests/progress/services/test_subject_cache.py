"""Subjects are compiled once per release and process, within a limit."""

import threading
import time

from progress.services.subject_cache import SubjectCache, of_subject, renderer_of
from publishing.api import LessonEntry, StructureNode, SubjectStructure


def subject(name: str, *, lessons: int, generation: str = "1") -> SubjectStructure:
    entries = tuple(
        LessonEntry(
            id=f"L{bit}",
            subject_id=name,
            topic_id="T",
            bit_index=bit,
            access_level="authenticated",
            required_item="",
            base_xp=10,
        )
        for bit in range(lessons)
    )
    nodes = tuple(
        StructureNode(entry.id, "lesson", is_linear=False, lesson=entry)
        for entry in entries
    )
    topic = StructureNode("T", "topic", is_linear=False, children=nodes)
    root = StructureNode(name, "subject", is_linear=False, children=(topic,))
    return SubjectStructure("PLAN", generation, root, entries)


def test_a_subject_is_compiled_again_only_for_another_release():
    first, second = subject("S", lessons=3), subject("S", lessons=3, generation="2")
    outline, renderer = of_subject(first), renderer_of(first)
    assert of_subject(first) is outline
    assert renderer_of(first) is renderer
    assert of_subject(second) is not outline
    assert renderer_of(second) is not renderer


def test_threads_that_need_a_subject_at_once_compile_it_once():
    compiled = []

    def slowly(one: SubjectStructure) -> str:
        compiled.append(one.root.id)
        time.sleep(0.05)
        return one.root.id

    cache = SubjectCache(slowly, limit=100)
    one = subject("S", lessons=3)
    threads = [threading.Thread(target=cache.get, args=(one,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiled == ["S"]


def test_compiled_subjects_have_no_more_lessons_than_the_limit():
    compiled = []

    def counted(one: SubjectStructure) -> str:
        compiled.append(one.root.id)
        return one.root.id

    cache = SubjectCache(counted, limit=10)
    small, other, large = (
        subject(name, lessons=lessons)
        for name, lessons in (("A", 4), ("B", 6), ("C", 11))
    )
    for one in (small, other, small, other):
        cache.get(one)
    assert compiled == ["A", "B"]
    for one in (large, large):  # larger than the limit, but kept alone
        assert cache.get(one) == "C"
    assert compiled == ["A", "B", "C"]
    cache.get(small)
    assert compiled == ["A", "B", "C", "A"]
