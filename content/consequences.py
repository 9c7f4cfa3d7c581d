"""What deleting content does elsewhere: what apps to the right can say of it.

Content knows no plans and no students. An app that does registers here when it
starts, and the page that asks before a deletion shows what each says.
"""

from collections.abc import Callable, Iterator, Sequence

from content.models import Node

Teller = Callable[[Sequence[Node]], str]
"""Says in a sentence what deleting these nodes does, or "" where it does nothing; in a
fixed number of queries."""

_tellers: list[Teller] = []


def tell(teller: Teller) -> Teller:
    """Ask ``teller``, too, before content is deleted."""
    _tellers.append(teller)
    return teller


def of_deleting(nodes: Sequence[Node]) -> Iterator[str]:
    """What they say."""
    return (said for teller in _tellers if (said := teller(nodes)))
