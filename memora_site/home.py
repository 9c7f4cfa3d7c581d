"""The admin's home page, with parts for each role.

Content editors see their last edits, pending builds and failures; plan editors see
these and the plans; support can search students; administrators see the health checks.
A user with several permissions sees several parts.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.utils.translation import gettext as _

from content import tree_rows
from content.admin.tree_search import Search
from content.models import Node
from core.parsing import is_key
from core.searching import has_words
from memora_site import health
from plans.models import AcademicPlan
from players.roles import TEACH
from progress import class_access
from publishing.admin_views.dashboard_views import headlines
from publishing.admin_views.labels import fault_message
from publishing.monitoring import dashboard, schedule

_RECENT = 8
_RECENT_ENTRIES = 60
"""How many entries of a user's admin log are searched for their last nodes."""
_MAX_PLANS = 12
_MAX_RESULTS = 10


@dataclass(frozen=True, slots=True)
class Recent:
    """A node that the user changed, and when."""

    node: Node
    trail: tuple[Node, ...]
    when: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """Search results: the first nodes, each with its ancestors, and plans."""

    query: str
    nodes: list[tuple[Node, tuple[Node, ...]]]
    has_more: bool
    plans: list[AcademicPlan]


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the page's context for this user. At most 30 queries, for any data."""
    user = request.user
    writes = user.has_perm("content.change_node")
    plans = user.has_perm("plans.change_academicplan")
    runs = user.has_perm("players.change_user")
    facts = dashboard.load() if writes or plans or runs else None
    return {
        "title": None,
        "found": _search(request),
        "may_add": user.has_perm("content.add_node"),
        "may_see_content": user.has_perm("content.view_node"),
        "may_see_runs": user.has_perm("publishing.view_synclog"),
        "may_see_alerts": user.has_perm("publishing.view_alert"),
        "teaches": user.has_perm(TEACH),
        "classes": class_access.taught_by(request),
        "finds_students": user.has_perm("players.view_playerprofile"),
        "writes": writes,
        "plans": plans,
        "runs": runs,
        "recent": recent(user.pk) if writes else [],
        "facts": facts,
        "next_run": schedule.next_run(facts.now) if facts else None,
        "fault": fault_message(facts.fault) if facts else "",
        "failures": [*facts.dead_letters, *facts.failed_uploads, *facts.failures]
        if facts
        else [],
        "plan_rows": facts.plans[:_MAX_PLANS] if facts and plans else [],
        "plans_more": max(0, len(facts.plans) - _MAX_PLANS) if facts else 0,
        "headlines": headlines(facts) if facts and runs else [],
        "checks": _checks() if runs else [],
    }


def _search(request: HttpRequest) -> Found | None:
    """Return the results of ``?q=`` that the user may see; None without a query.

    Two queries.
    """
    search = Search(query=Search.of(request).query)
    user = request.user
    if not search.is_active or not user.has_perm("content.view_node"):
        return None
    nodes = list(search.nodes()[: _MAX_RESULTS + 1])
    return Found(
        query=search.query,
        nodes=[(node, tree_rows.ancestors_of(node)) for node in nodes[:_MAX_RESULTS]],
        has_more=len(nodes) > _MAX_RESULTS,
        plans=_plans(search.query) if user.has_perm("plans.view_academicplan") else [],
    )


def _plans(words: str) -> list[AcademicPlan]:
    """Return plans with all of these words in title or id, folded as in the tree."""
    condition = has_words(words, folded="title_folded", exact=("public_id",))
    plans = AcademicPlan.objects.filter(condition).order_by("title")
    return list(plans.only("title", "public_id")[:_MAX_RESULTS])


def recent(user_pk: Any) -> list[Recent]:
    """Return the nodes this user changed last, newest first. At most three queries."""
    own = LogEntry.objects.filter(
        user_id=user_pk, content_type=ContentType.objects.get_for_model(Node)
    )
    rows = own.order_by("-action_time").values_list("object_id", "action_time")
    when: dict[int, datetime] = {}
    for object_id, moment in rows[:_RECENT_ENTRIES]:
        if object_id is not None and is_key(object_id):
            when.setdefault(int(object_id), moment)
    nodes = tree_rows.with_ancestors(Node.objects.filter(tree_rows.outside_trash()))
    found = nodes.in_bulk(list(when))
    return [
        Recent(found[pk], tree_rows.ancestors_of(found[pk]), moment)
        for pk, moment in when.items()
        if pk in found
    ][:_RECENT]


def _checks() -> list[tuple[str, str | None]]:
    """Return the results of the readiness checks by their translated names."""
    words = {
        "database": _("Database"),
        "redis": _("Redis"),
        "broker": _("Queue of tasks"),
        "disk": _("Disk"),
        "publishing": _("Publishing"),
        "workers": _("Worker and beat"),
        "periodic_jobs": _("Write-back and reconciliation"),
    }
    answers = health.run(health.CHECKS | health.ADVICE)
    return [(words.get(name, name), why) for name, why in answers.items()]
