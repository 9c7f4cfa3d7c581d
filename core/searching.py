"""Search in folded columns (`core.folding`)."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from core.folding import fold


def has_words(words: str, *, folded: str, exact: Sequence[str] = ()) -> Q:
    """Return a condition for rows that contain each of ``words``, in any spelling.

    Args:
        folded: the path of a folded column.
        exact: paths of ids, URLs and numbers, which are not folded. Their columns may
            be compared by bytes, so each word is searched as typed, in lower and in upper
            case, and folded: digits of other scripts are then 0 to 9.
    """
    found = Q()
    for word in words.split():
        one = Q(**{f"{folded}__contains": fold(word)})
        for path in exact:
            for spelling in {word, word.lower(), word.upper(), fold(word)}:
                one |= Q(**{f"{path}__icontains": spelling})
        found &= one
    return found


class FoldedSearch:
    """Mixin for a ``ModelAdmin``: search and autocomplete use `has_words`.

    The first of ``search_fields`` is the folded column.
    """

    search_fields: ClassVar[Any]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        folded, *exact = self.search_fields
        condition = has_words(search_term, folded=folded, exact=exact)
        return queryset.filter(condition), False
