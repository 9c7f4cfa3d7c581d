"""The content tree as a plan's students get it: "View as" on the tree page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from content.badges import badge, paid_with
from content.kinds import Kind
from content.lenses import Sight
from content.models import Node
from content.outline import Row, count_visible
from content.tree import ContentNode
from plans import queries
from plans.access import Access, Level, Override, Rule, resolve_access
from plans.models import AcademicPlan

_NO_OVERRIDE = Override()


class PlanLens:
    """A `content.lenses.Lens`: each plan is a choice."""

    def choices(self) -> Sequence[tuple[str, str]]:
        """The plans by title. One query."""
        rows = AcademicPlan.objects.order_by("title").values_list("pk", "title")
        return [(str(pk), title) for pk, title in rows]

    def see(self, choice: str, rows: Sequence[Row]) -> Mapping[int, Sight]:
        """Five queries."""
        if not (choice.isdecimal() and len(choice) < 19):
            return {}
        if not AcademicPlan.objects.filter(pk=int(choice)).exists():
            return {}
        overrides = queries.load_overrides(int(choice))
        eyes = _Eyes(overrides, frozenset(queries.subject_pks(int(choice))))
        hidden = [pk for pk, said in overrides.items() if said.hide]
        lessons = count_visible(
            rows,
            counted=Q(is_published=True, trashed_at__isnull=True),
            gone=Q(is_published=False) | Q(trashed_at__isnull=False) | Q(pk__in=hidden),
            lost=hidden,
        )
        return {row.node.pk: eyes.sight(row, lessons.get(row.node.pk)) for row in rows}


@dataclass(slots=True)
class _Eyes:
    """One plan's view."""

    overrides: Mapping[int, Override]
    subjects: frozenset[int]

    def sight(self, row: Row, lessons: int | None) -> Sight:
        node = row.node
        if node.subject_pk not in self.subjects:
            return Sight(_quiet(_("Not in this plan")), is_hidden=True)
        title = self._of(node).title
        if self._of(node).hide:
            why = _("This plan hides it, and all inside.")
            hidden = badge("⊘", _("Hidden here"), "quiet", why=why)
            return Sight(hidden, title, is_hidden=True, lessons=0)
        around = next((above for above in row.above if self._of(above).hide), None)
        if around is not None:
            why = _("This plan hides “%(title)s”, and all inside.")
            why %= {"title": around.title}
            hidden = badge("⊘", _("Hidden above"), "quiet", why=why)
            return Sight(hidden, title, is_hidden=True, lessons=0)
        if not all(above.is_published for above in row.trail) or row.is_in_trash:
            return Sight(_quiet(_("Not seen")), title, is_hidden=True, lessons=lessons)
        if lessons == 0 and node.kind not in (Kind.SUBJECT, Kind.LESSON):
            why = _(
                "Nothing published lies inside, so this plan's students do not see it."
            )
            empty = badge("◌", _("Empty, not seen"), "quiet", why=why)
            return Sight(empty, title, is_hidden=True, lessons=0)
        return Sight(self._access_badge(row), title, lessons=lessons)

    def _of(self, node: Node) -> Override:
        return self.overrides.get(node.pk, _NO_OVERRIDE)

    def _access(self, trail: Sequence[Node]) -> Access:
        """The access of the last of ``trail``, each of which lies in the one before."""
        *above, node = trail
        parent = self._access(above) if above else None
        said = self._of(node)
        return resolve_access(_as_content(node), parent=parent, override=said)

    def _access_badge(self, row: Row) -> SafeString:
        access = self._access(row.trail)
        titles = {node.public_id: node.title for node in row.trail}
        why = _reason(access, titles[access.decided_at])
        match access.level:
            case Level.PAID:
                return badge("🔒", paid_with(access.item), "waiting", why=why)
            case Level.FREE_PREVIEW:
                return badge("★", _("Free preview"), "done", why=why)
            case Level.PUBLIC:
                return badge("◇", _("Public"), "action", why=why)
        return _quiet(_("Signed in"), why)


def _reason(access: Access, decided_by: str) -> str:
    if access.rule is Rule.INHERITED:
        return _("As “%(title)s”, which it lies in.") % {"title": decided_by}
    match access.rule:
        case Rule.OVERRIDE:
            return _("This plan says so, here.")
        case Rule.FREE_PREVIEW | Rule.REQUIRED_ITEM | Rule.PUBLIC:
            return _("The content itself says so, for every plan.")
    return _("Nobody said otherwise.")


def _quiet(word: str, why: str = "") -> SafeString:
    return format_html('<span class="quiet" title="{}">{}</span>', why, word)


def _as_content(node: Node) -> ContentNode:
    """``node`` alone, as the rules of `plans.access` take it."""
    return ContentNode(
        pk=node.pk,
        id=node.public_id,
        kind=Kind(node.kind),
        title=node.title,
        description="",
        image="",
        color_code="",
        is_published=node.is_published,
        is_trashed=node.trashed_at is not None,
        is_linear=node.is_linear,
        is_public=node.is_public,
        is_free_preview=node.is_free_preview,
        required_item=node.required_item,
        base_xp=node.base_xp,
        bit_index=node.bit_index,
    )
