"""Arabic sentences with many words: a hint, not a measure of difficulty.

A sentence ends at ``.``, ``!``, ``?``, ``؟``, ``؛`` or ``…`` before a space, or at the
end of a paragraph. A word has a letter; conjunctions and pronouns that Arabic writes
together with a word are not counted on their own. A sentence is Arabic if most of its
letters are.
"""

import re
from collections.abc import Iterable, Iterator

from django.utils.translation import ngettext

from content.quality.findings import Finding, Problem, StageContent, of_stage

MAX_WORDS = 40
"""The most words of a sentence that is not reported."""
_END = re.compile(r"(?<=[.!?؟؛…])[\s\u200e\u200f]++")
_LETTERS = re.compile(r"[^\W\d_]")
_ARABIC = re.compile(r"[\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff]")
_SHOWN_WORDS = 12


def long_sentences(stages: Iterable[StageContent]) -> Iterator[Finding]:
    """Yield the stages with an Arabic sentence of more than `MAX_WORDS` words."""
    for stage in stages:
        found = [
            words
            for line in stage.lines
            if line.count(" ") >= MAX_WORDS
            for words in map(words_in, _END.split(line))
            if len(words) > MAX_WORDS and is_arabic(" ".join(words))
        ]
        if found:
            longest = max(found, key=len)
            detail = ngettext(
                "%(count)d sentence of more than %(limit)d words; the longest has "
                "%(words)d: “%(start)s…”",
                "%(count)d sentences of more than %(limit)d words; the longest has "
                "%(words)d: “%(start)s…”",
                len(found),
            )
            detail %= {
                "count": len(found),
                "limit": MAX_WORDS,
                "words": len(longest),
                "start": " ".join(longest[:_SHOWN_WORDS]),
            }
            yield of_stage(Problem.LONG_SENTENCE, stage, detail)


def words_in(sentence: str) -> list[str]:
    """Return the words of a sentence: what is between spaces and has a letter."""
    return [word for word in sentence.split() if _LETTERS.search(word)]


def is_arabic(text: str) -> bool:
    """Return whether most letters are Arabic."""
    return 2 * len(_ARABIC.findall(text)) > len(_LETTERS.findall(text))
