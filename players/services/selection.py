"""The players that a command or a page is about: those that are named, or everyone."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _

from core.batches import batches
from players.credentials import canonical_number
from players.errors import PlayerNotFoundError
from players.models import PlayerProfile, UserManager


def find(text: str) -> int:
    """Return the number of a player given as a number or an e-mail address.

    Raises:
        PlayerNotFoundError: there is no such player, or the player is erased.
    """
    players = PlayerProfile.objects.filter(erased_at=None)
    if is_number(text):
        players = players.filter(pk=int(text))
    else:
        players = players.filter(user__email=UserManager.normalize_email(text))
    found: int | None = players.values_list("pk", flat=True).first()
    if found is None:
        raise PlayerNotFoundError(_("There is no player %(id)s.") % {"id": text})
    return found


def by_number_or_email(texts: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the players with these school numbers or e-mail addresses.

    Two queries for each 500 texts.

    Returns:
        The players' primary keys, and the texts that name nobody; both in order.
    """
    keys = named(texts)
    found = [keys[text] for text in texts if text in keys]
    return found, [text for text in texts if text not in keys]


def named(texts: Sequence[str]) -> dict[str, int]:
    """Return the players with these school numbers or e-mail addresses, by text.

    Two queries for each 500 texts. A text that names nobody is left out.
    """
    found: dict[str, int] = {}
    players = PlayerProfile.objects.filter(erased_at=None)
    for some in batches(texts):
        numbers = {text: canonical_number(text) for text in some}
        emails = {text: UserManager.normalize_email(text) for text in some}
        keys = dict(
            players.filter(school_number__in=numbers.values()).values_list(
                "school_number", "pk"
            )
        )
        keys |= dict(
            players.filter(user__email__in=emails.values()).values_list(
                "user__email", "pk"
            )
        )
        for text in some:
            key = keys.get(numbers[text]) or keys.get(emails[text])
            if key is not None:
                found[text] = key
    return found


def is_number(text: str) -> bool:
    """Return whether a text can be a player's number."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def count_everyone() -> int:
    """Return the number of players. One query."""
    return PlayerProfile.objects.filter(erased_at=None).count()


def everyone(size: int) -> Iterator[Sequence[int]]:
    """Yield the numbers of all players in order, ``size`` at a time.

    One query for each batch, so no transaction and no list of all players is held.
    """
    players = PlayerProfile.objects.filter(erased_at=None).order_by("pk")
    last = 0
    while True:
        found = list(players.filter(pk__gt=last).values_list("pk", flat=True)[:size])
        if not found:
            return
        yield found
        last = found[-1]
