"""Querysets of rows that Redis caches: their bulk writes send signals."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db import models, transaction
from django.dispatch import Signal

from players import signals


class PlayerPartQuerySet(models.QuerySet[Any]):
    """Bulk writes of rows that Redis caches: send the signal that Django does not."""

    changed: ClassVar[Signal] = signals.access_changed
    player_path: ClassVar[str] = "player_id"

    def _player_ids(self) -> set[int]:
        return set(self.order_by().values_list(self.player_path, flat=True).distinct())

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            players = self._player_ids()
            if "player" in kwargs:
                players.add(kwargs["player"].pk)
            if "player_id" in kwargs:
                players.add(kwargs["player_id"])
            count = super().update(**kwargs)
            self.changed.send(sender=self.model, player_ids=sorted(players))
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            players = {getattr(made, self.player_path) for made in created} - {None}
            self.changed.send(
                sender=self.model, player_ids=sorted(players), revokes=False
            )
        return created


class AccessQuerySet(PlayerPartQuerySet):
    """Players' plans and entitlements; bulk writes are audited like single ones."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            keys = list(self.values_list("pk", flat=True))
            count = super().update(**kwargs)
            rows = list(self.model._base_manager.using(self.db).filter(pk__in=keys))
            signals.access_rows_written.send(
                sender=self.model, rows=rows, change="changed"
            )
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def remove(self) -> int:
        """Delete these rows in a fixed number of queries, and return how many.

        ``delete()`` sends a signal for each row, whose receivers query for each row.
        """
        with transaction.atomic(using=self.db):
            rows = list(self)
            keys = [row.pk for row in rows]
            models.QuerySet(self.model, using=self.db).filter(pk__in=keys)._raw_delete(
                self.db
            )
            self.changed.send(
                sender=self.model, player_ids=sorted({row.player_id for row in rows})
            )
            signals.access_rows_written.send(
                sender=self.model, rows=rows, change="removed"
            )
        return len(rows)

    remove.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            signals.access_rows_written.send(
                sender=self.model, rows=created, change="added"
            )
        return created


class SignInQuerySet(PlayerPartQuerySet):
    changed = signals.sign_in_changed
