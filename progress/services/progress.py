"""A player's progress in a subject; see docs/architecture.md, "Reading progress"."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from django.utils.translation import gettext as _

from players.player_state import SubjectProgress
from players.records import Found
from players.services import access
from players.services.access import PlayerAccess
from progress.errors import InvalidSubjectError
from progress.services import etags, subject_cache, writing
from publishing import api
from publishing.api import PlanStructure, SubjectStructure

_FORMAT = 1
"""The version of the answer's format. Raise it whenever the same progress is answered
with other JSON: it is part of the ETag."""


@dataclass(frozen=True, slots=True)
class ProgressAnswer:
    """The JSON of a player's progress, with its strong ETag in quotes.

    ``body`` is None when the client's copy is current.
    """

    etag: str
    body: bytes | None


def of_subject(
    *,
    player_id: int,
    subject_id: str,
    now: float,
    if_none_match: str | None = None,
    found: Found | None = None,
) -> ProgressAnswer:
    """Return the player's progress in a subject of their plan; see `answer`.

    Args:
        found: what the request's session check read; None: ask Redis now.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no published plan.
        InvalidSubjectError: the subject is not in the plan.
    """
    player_access = access.of_player(player_id, found)
    plan = api.load_plan(access.require_enrolled(player_access))
    require_subject(plan, subject_id)
    seq, progress = writing.read_subject(player_id, subject_id, found)
    return answer(
        plan=plan,
        subject_id=subject_id,
        progress=progress,
        player_access=player_access,
        seq=seq,
        now=now,
        if_none_match=if_none_match,
    )


def answer(
    *,
    plan: PlanStructure,
    subject_id: str,
    progress: SubjectProgress,
    player_access: PlayerAccess,
    seq: int,
    now: float,
    if_none_match: str | None,
) -> ProgressAnswer:
    """Return the progress tree of a subject and its totals. No query, no Redis.

    Every node has id, type, status, locked_reason, bit_index, best_hearts and children;
    locked_reason is null unless the node is locked; bit_index and best_hearts are null
    except for lessons. Hidden and unpublished lessons are not counted.

    Args:
        progress: the player's progress at position ``seq`` of the ledger.
        now: Unix time; products that have expired then do not count.
        if_none_match: the request's header. Whether the client's copy is current is
            decided before anything is built.

    Raises:
        InvalidSubjectError: the subject is not in the plan.
    """
    subject = require_subject(plan, subject_id)
    required = subject_cache.of_subject(subject).items
    items = [item for item in required if player_access.is_entitled(item, now)]
    etag = _etag(subject, progress, seq=seq, items=items)
    if etags.is_current(etag, if_none_match):
        return ProgressAnswer(etag, None)
    renderer = subject_cache.renderer_of(subject)
    player = renderer.outline.for_player(progress.bitmap, items)
    body = renderer.render(player, hearts=progress.hearts, xp=progress.xp)
    return ProgressAnswer(etag, body)


def require_subject(plan: PlanStructure, subject_id: str) -> SubjectStructure:
    """Return the subject in a plan's release.

    Raises:
        InvalidSubjectError: the release has no such subject.
    """
    found = plan.subjects.get(subject_id)
    if found is None:
        raise InvalidSubjectError(_("This subject is not in your plan."))
    return found


def _etag(
    subject: SubjectStructure,
    progress: SubjectProgress,
    *,
    seq: int,
    items: Iterable[str],
) -> str:
    """Return the ETag of everything that an answer is made of.

    The progress is part of it because the URL is the same for all players, and two of
    them can be at the same ``seq``, on one device after another.
    """
    sources = orjson.dumps(
        [
            _FORMAT,
            subject.plan_id,
            subject.generation,
            subject.root.id,
            seq,
            sorted(items),
            progress.xp,
            len(progress.bitmap),
        ]
    )
    digest = hashlib.blake2b(sources, digest_size=16)
    digest.update(progress.bitmap)
    digest.update(progress.hearts)
    return f'"{digest.hexdigest()}"'
