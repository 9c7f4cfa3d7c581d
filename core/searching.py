"""Searching in folded columns (`core.folding`)."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from core.folding import fold


def has_words(words: str, *, folded: str, exact: Sequence[str] = ()) -> Q:
    """Rows that have each of ``words``, however it is spelled.

    Args:
        folded: the path of a folded column.
        exact: paths of ids and addresses, in which letters' forms count; a word is
            looked for as typed, in lower and in upper case, for they may be compared
            by their bytes.
    """
    found = Q()
    for word in words.split():
        one = Q(**{f"{folded}__contains": fold(word)})
        for path in exact:
            for spelling in {word, word.lower(), word.upper()}:
                one |= Q(**{f"{path}__icontains": spelling})
        found &= one
    return found


class FoldedSearch:
    """For a `ModelAdmin`: its search and its autocomplete use `has_words`.

    The first of ``search_fields`` is the folded column.
    """

    search_fields: ClassVar[Any]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        folded, *exact = self.search_fields
        wanted = has_words(search_term, folded=folded, exact=exact)
        return queryset.filter(wanted), False
