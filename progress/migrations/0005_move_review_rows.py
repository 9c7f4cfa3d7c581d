"""Move the ledger's rows of reviews to the log of ratings.

Works in batches, each in a transaction of its own. After an interruption run it again:
what was moved is no longer in the ledger.
"""

from collections import defaultdict
from datetime import UTC, datetime

from django.db import migrations, transaction
from django.db.models import Max

from progress import scheduler

CARDS = 1000
ROWS = 1000
UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""`0004_review_ratings` sets it."""


def date_cards(apps, schema_editor):
    """Set when each card's item was met: at the first completion of its lesson."""
    using = schema_editor.connection.alias
    cards = apps.get_model("progress", "ReviewCard")._base_manager.using(using)
    ledger = apps.get_model("progress", "InteractionLog")._base_manager.using(using)
    last = 0
    while batch := list(
        cards.filter(pk__gt=last, met_at=UNKNOWN).order_by("pk")[:CARDS]
    ):
        completed = {
            (player, lesson): at
            for player, lesson, at in ledger.filter(
                player__in={card.player_id for card in batch},
                first_of__in={card.lesson_id for card in batch},
            ).values_list("player", "first_of", "created_at")
        }
        for card in batch:
            card.met_at = completed.get((card.player_id, card.lesson_id)) or min(
                card.due_at, card.last_reviewed_at or card.due_at
            )
        cards.bulk_update(batch, ["met_at"], batch_size=200)
        last = batch[-1].pk


def move_rows(apps, schema_editor):
    """Copy the rows of each player to the log, compute the cards, delete the rows."""
    using = schema_editor.connection.alias
    ledger = apps.get_model("progress", "InteractionLog")._base_manager.using(using)
    reviews = ledger.filter(type="review")
    players = reviews.order_by("player").values_list("player", flat=True).distinct()
    for player_id in list(players):
        while _move_batch(apps, using, player_id):
            pass


def _move_batch(apps, using, player_id):
    ledger = apps.get_model("progress", "InteractionLog")._base_manager.using(using)
    log = apps.get_model("progress", "ReviewRating")._base_manager.using(using)
    with transaction.atomic(using=using):
        mine = ledger.filter(type="review", player=player_id)
        rows = list(mine.order_by("pk")[:ROWS])
        if not rows:
            return False
        # The rows of an erased student have no rating any more.
        rated = [row for row in rows if "rating" in row.data]
        cards = _cards_of(apps, using, player_id, rated)
        last = log.filter(player=player_id).aggregate(last=Max("position"))["last"]
        log.bulk_create(
            [
                _rating(log.model, row, cards[_key(row)], position)
                for position, row in enumerate(rated, start=(last or 0) + 1)
            ]
        )
        _compute(apps, using, list(cards.values()))
        ledger.filter(pk__in=[row.pk for row in rows]).delete()
    return True


def _key(row):
    return row.reference_id, row.data["lesson_id"]


def _cards_of(apps, using, player_id, rows):
    """Return the card of each row by item and lesson; a lost one is created."""
    cards = apps.get_model("progress", "ReviewCard")._base_manager.using(using)
    found = {
        (card.item_id, card.lesson_id): card
        for card in cards.filter(
            player=player_id, item_id__in={row.reference_id for row in rows}
        )
    }
    for row in rows:
        if _key(row) not in found:
            memory = scheduler.met(row.created_at)
            found[_key(row)] = cards.create(
                player_id=player_id,
                item_id=row.reference_id,
                lesson_id=row.data["lesson_id"],
                subject_id=row.subject_id,
                met_at=row.created_at,
                state=memory.state,
                due_at=memory.due_at,
            )
    return {key: found[key] for key in {_key(row) for row in rows}}


def _said(row):
    said = row.data.get("reviewed_at")
    return row.created_at if said is None else datetime.fromisoformat(said)


def _rating(model, row, card, position):
    batch = None
    if row.idempotency_key is not None and "answer" in row.data:
        batch = {
            "fingerprint": row.data["fingerprint"],
            "response": row.data["answer"],
        }
    return model(
        player_id=row.player_id,
        position=position,
        card_id=card.pk,
        item_id=row.reference_id,
        lesson_id=row.data["lesson_id"],
        subject_id=row.subject_id,
        rating=row.data["rating"],
        reviewed_at=max(card.met_at, min(_said(row), row.created_at)),
        received_at=row.created_at,
        idempotency_key=row.idempotency_key if batch else None,
        batch=batch,
    )


def _compute(apps, using, cards):
    """Set the memory of cards by all their ratings in the order of their times."""
    log = apps.get_model("progress", "ReviewRating")._base_manager.using(using)
    history = defaultdict(list)
    for pk, at, rating in (
        log.filter(card__in=[card.pk for card in cards])
        .order_by("card", "reviewed_at", "position")
        .values_list("card", "reviewed_at", "rating")
    ):
        history[pk].append((at, rating))
    for card in cards:
        memory = scheduler.replay(card.met_at, history[card.pk])
        card.state, card.due_at = memory.state, memory.due_at
        card.last_reviewed_at = memory.last_reviewed_at
    cards_of_all = apps.get_model("progress", "ReviewCard")._base_manager.using(using)
    cards_of_all.bulk_update(
        cards, ["state", "due_at", "last_reviewed_at"], batch_size=200
    )


class Migration(migrations.Migration):
    # MariaDB could not undo half of it either; each batch is a transaction.
    atomic = False
    dependencies = [("progress", "0004_review_ratings")]

    operations = [
        migrations.RunPython(date_cards, migrations.RunPython.noop),
        # Back: the ratings stay in their log.
        migrations.RunPython(move_rows, migrations.RunPython.noop),
    ]
