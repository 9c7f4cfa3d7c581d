"""The player dashboard: its numbers, its filters, its queries and who may see it."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from plans.models import AcademicPlan, Grade
from players import audit, charts
from players.charts import HEIGHT, WIDTH, Value
from players.models import (
    Device,
    Enrollment,
    GroupMember,
    PlayerProfile,
    PlayerWallet,
    SecurityEventType,
    StudyGroup,
    User,
    WriteBackRun,
)
from players.services import accounts, dashboard, devices
from players.services.dashboard import Periods, Selection
from progress.models import InteractionLog
from tests.factories.progress import make_interaction

pytestmark = pytest.mark.django_db

PAGE = "/admin/players/dashboard/"
NOW_URL = f"{PAGE}now/"
NOW = datetime(2026, 3, 10, 15, 30, tzinfo=UTC)
ALL = Selection()


@pytest.fixture(autouse=True)
def _at_half_past_three(settings):
    settings.TIME_ZONE = settings.STREAK_TIME_ZONE = "UTC"
    with time_machine.travel(NOW, tick=False):
        yield


def join(name, plan, *, days_ago=0, grade=None):
    """Create a player who joined so many days ago."""
    player = accounts.create_player(
        f"{name}@example.com", "student-password-1", full_name=name, plan=plan
    )
    PlayerProfile.objects.filter(pk=player.pk).update(
        created_at=NOW - timedelta(days=days_ago), grade=grade
    )
    return player


def save_wallet(player, *, xp=0, streak=0, last=None, played=None):
    PlayerWallet.objects.filter(pk=player.pk).update(
        total_xp=xp,
        current_streak=streak,
        last_success_date=last,
        last_played_at=played,
    )


def refuse(player, *, code="INVALID_CREDENTIALS", hours_ago=1, **details):
    with time_machine.travel(NOW - timedelta(hours=hours_ago), tick=False):
        audit.record(
            SecurityEventType.REFUSED,
            user_id=player and player.user_id,
            code=code,
            **details,
        )


def counts_of(ranges):
    return {found.low: found.players for found in ranges if found.players}


# --- The numbers ----------------------------------------------------------------------


def test_players_are_counted_by_when_they_joined_and_last_played(plan):
    for name, joined, played in (
        ("a", 0, timedelta(hours=1)),
        ("b", 3, timedelta(hours=16)),  # yesterday
        ("c", 20, timedelta(days=10)),
        ("d", 90, None),
    ):
        player = join(name, plan, days_ago=joined)
        save_wallet(player, played=played and NOW - played)
    found = dashboard.load(ALL, now=NOW)
    assert found.players == 4
    assert found.new == Periods(today=1, week=2, month=3)
    assert found.active == Periods(today=1, week=2, month=3)


def test_an_erased_student_is_not_counted(plan):
    gone = join("gone", plan)
    PlayerProfile.objects.filter(pk=gone.pk).update(erased_at=NOW)
    join("a", plan)
    assert dashboard.load(ALL, now=NOW).players == 1


def test_xp_is_counted_in_ranges(plan):
    for number, xp in enumerate((0, 99, 100, 4_999, 5_000, 12_345)):
        save_wallet(join(f"p{number}", plan), xp=xp)
    found = dashboard.load(ALL, now=NOW).xp
    assert counts_of(found) == {0: 1, 1: 1, 100: 1, 1_000: 1, 5_000: 1, 10_000: 1}
    assert [(one.low, one.high) for one in found][:3] == [(0, 0), (1, 99), (100, 499)]
    assert found[-1].high is None


def test_a_streak_that_has_ended_counts_as_none(plan):
    today = NOW.date()
    for number, (streak, last) in enumerate(
        [
            (5, today),
            (5, today - timedelta(days=1)),
            (5, today - timedelta(days=2)),
            (40, today),
            (0, None),
        ]
    ):
        save_wallet(join(f"p{number}", plan), streak=streak, last=last)
    assert counts_of(dashboard.load(ALL, now=NOW).streaks) == {0: 2, 3: 2, 30: 1}


def test_completions_are_counted_by_hour_for_48_hours(plan):
    player = join("a", plan)
    at = (
        (NOW, "lesson_completed"),
        (NOW - timedelta(minutes=29), "lesson_completed"),
        (NOW - timedelta(minutes=31), "lesson_completed"),
        (NOW, "lesson_failed"),
        (NOW - timedelta(hours=47), "lesson_completed"),
        (NOW - timedelta(hours=48), "lesson_completed"),
    )
    for seq, (moment, kind) in enumerate(at, start=1):
        make_interaction(player, seq=seq, received_at=moment, type=kind)
    found = dashboard.load(ALL, now=NOW)
    assert len(found.hours) == 48
    assert {hour: count for hour, count in found.hours if count} == {
        datetime(2026, 3, 8, 16, tzinfo=UTC): 1,
        datetime(2026, 3, 10, 14, tzinfo=UTC): 1,
        datetime(2026, 3, 10, 15, tzinfo=UTC): 2,
    }
    assert found.completions == 4


def test_refused_sign_ins_are_counted_by_code_other_refusals_not(plan):
    player = join("a", plan)
    refuse(player)
    refuse(None)
    refuse(player, code="DEVICE_NOT_AUTHORIZED")
    refuse(player, code="NOT_ENROLLED", endpoint="content-list")
    refuse(player, hours_ago=25)
    found = dashboard.load(ALL, now=NOW)
    assert found.refused == {"INVALID_CREDENTIALS": 2, "DEVICE_NOT_AUTHORIZED": 1}
    assert found.refused_total == 3


def test_near_the_limit_is_who_has_two_devices_and_was_refused_from_another(plan):
    full, other, single = (join(name, plan) for name in ("full", "other", "single"))
    for player, number in ((full, 2), (other, 2), (single, 1)):
        for _ in range(number):
            devices.add(player_id=player.pk, device_id=uuid.uuid4())
    refuse(full, code="DEVICE_NOT_AUTHORIZED", hours_ago=50)
    refuse(full, code="DEVICE_NOT_AUTHORIZED", hours_ago=5)
    refuse(full, code="INVALID_CREDENTIALS")
    refuse(full, code="DEVICE_NOT_AUTHORIZED", hours_ago=24 * 8)
    refuse(other, code="INVALID_CREDENTIALS")
    refuse(single, code="DEVICE_NOT_AUTHORIZED")
    found = dashboard.load(ALL, now=NOW)
    (near,) = found.near_limit
    assert (near.player, near.name, near.refusals) == (full.pk, "full", 2)
    assert near.last == NOW - timedelta(hours=5)
    assert found.near_limit_total == 1


def test_the_list_of_players_near_the_limit_is_short_its_number_complete(plan):
    for number in range(dashboard.LISTED + 2):
        player = join(f"p{number}", plan)
        for _ in range(2):
            devices.add(player_id=player.pk, device_id=uuid.uuid4())
        refuse(player, code="DEVICE_NOT_AUTHORIZED")
    found = dashboard.load(ALL, now=NOW)
    assert len(found.near_limit) == dashboard.LISTED
    assert found.near_limit_total == dashboard.LISTED + 2


def test_a_write_back_without_a_recent_run_is_late(plan):
    fresh, old = NOW - timedelta(minutes=5), NOW - timedelta(hours=2)
    WriteBackRun.objects.create(kind="wallets", complete_until=fresh)
    WriteBackRun.objects.create(kind="subjects", complete_until=old)
    lags = dashboard.load(ALL, now=NOW).lags
    assert [(lag.complete_until, lag.is_late) for lag in lags] == [
        (fresh, False),
        (old, True),
        (None, True),
        (None, True),
    ]


# --- Filters --------------------------------------------------------------------------


def test_a_filter_restricts_every_number(plan, app_of):
    other = AcademicPlan.objects.create(title="Other", is_published=True)
    grade = Grade.objects.create(title="Grade 5")
    inside = join("inside", plan, grade=grade)
    outside = join("outside", other)
    for player in (inside, outside):
        save_wallet(player, xp=50, streak=1, last=NOW.date(), played=NOW)
        make_interaction(player, received_at=NOW)
        app_of(player)
        refuse(player)
    group = StudyGroup.objects.create(name="5 A")
    GroupMember.objects.create(group=group, player=inside)
    for selection in (
        Selection(plan=plan.pk),
        Selection(grade=grade.pk),
        Selection(group=group.pk),
    ):
        found = dashboard.load(selection, now=NOW)
        assert (found.players, found.signed_in, found.refused_total) == (1, 1, 1)
        assert (found.new.today, found.active.today, found.completions) == (1, 1, 1)
        assert counts_of(found.xp) == counts_of(found.streaks) == {1: 1}
    both = dashboard.load(ALL, now=NOW)
    assert (both.players, both.signed_in, both.completions) == (2, 2, 2)
    neither = dashboard.load(Selection(plan=other.pk, grade=grade.pk), now=NOW)
    assert (neither.players, neither.completions, neither.refused_total) == (0, 0, 0)


@pytest.fixture
def app_of():
    """Return a function that signs a player in on a new device."""
    from tests.players.app import App

    def sign_in(player):
        app = App()
        assert app.sign_in(player.user.email, "student-password-1").status_code == 200
        return app

    return sign_in


def test_a_plan_filter_counts_who_is_enrolled_not_only_whose_plan_is_active(plan):
    second = AcademicPlan.objects.create(title="Second", is_published=True)
    player = join("a", plan)
    Enrollment.objects.create(player=player, plan=second)
    assert dashboard.load(Selection(plan=second.pk), now=NOW).players == 1


@pytest.mark.parametrize("query", ["plan=x", "plan=-1", "grade=9" + "9" * 30, "plan="])
def test_a_filter_that_is_no_number_is_ignored(browser, player, query):
    page = browser.get(f"{PAGE}?{query}")
    assert page.status_code == 200
    assert page.context["is_filtered"] is False


def test_the_page_keeps_its_filters_for_its_refresh(browser, player, plan):
    page = browser.get(PAGE, {"plan": plan.pk})
    text = page.content.decode()
    assert f'data-url="{NOW_URL}?plan={plan.pk}"' in text
    assert f'<option value="{plan.pk}" selected>' in text


# --- Queries --------------------------------------------------------------------------


def fill(plan, number):
    """Create players with wallets, devices, refusals and completions, in bulk."""
    start = User.objects.count()
    users = User.objects.bulk_create(
        User(email=f"p{start + n}@example.com", password="!") for n in range(number)
    )
    players = PlayerProfile.objects.bulk_create(PlayerProfile(user=u) for u in users)
    PlayerWallet.objects.bulk_create(PlayerWallet(player=p) for p in players)
    Enrollment.objects.bulk_create(Enrollment(player=p, plan=plan) for p in players)
    Device.objects.bulk_create(
        Device(player=p, slot=slot, device_id=uuid.uuid4())
        for p in players
        for slot in (1, 2)
    )
    InteractionLog.objects.bulk_create(
        InteractionLog(
            player=p,
            seq=1,
            type="lesson_completed",
            reference_id="LES-1",
            event_id=f"e{p.pk}",
            occurred_at=NOW,
            received_at=NOW,
        )
        for p in players
    )
    audit.record_each(
        SecurityEventType.REFUSED,
        [(p.user_id, {"code": "DEVICE_NOT_AUTHORIZED"}) for p in players],
    )


@pytest.mark.parametrize("is_filtered", [False, True])
def test_the_number_of_queries_does_not_depend_on_the_players(plan, is_filtered):
    selection = Selection(plan=plan.pk, grade=None) if is_filtered else ALL
    counts = []
    for number in (10, 500):
        fill(plan, number)
        with CaptureQueriesContext(connection) as captured:
            found = dashboard.load(selection, now=NOW)
        counts.append(len(captured))
        assert found.completions == found.players
    # Players, wallets, refusals near the limit, their names, hours of the ledger,
    # sessions, refused sign-ins, runs of the write-back.
    assert counts == [8, 8]


# MariaDB commits before and after ANALYZE TABLE; SQLite rolls its statistics back.
@pytest.mark.django_db(transaction=connection.vendor == "mysql")
@pytest.mark.parametrize("is_filtered", [False, True])
def test_the_ledger_is_read_by_the_index_of_its_times(plan, is_filtered):
    """A filter must not make the database start from the players."""
    fill(plan, 50)
    InteractionLog.objects.bulk_create(
        InteractionLog(
            player_id=player,
            seq=seq,
            type="lesson_completed",
            reference_id=f"LES-{seq}",
            event_id=f"old-{seq}",
            occurred_at=NOW - timedelta(days=30),
            received_at=NOW - timedelta(days=30),
        )
        for player in PlayerProfile.objects.values_list("pk", flat=True)
        for seq in range(2, 40)
    )
    with connection.cursor() as cursor:
        analyze = "ANALYZE TABLE" if connection.vendor == "mysql" else "ANALYZE"
        cursor.execute(f"{analyze} progress_interactionlog")
        if connection.vendor == "mysql":
            cursor.fetchall()
    with CaptureQueriesContext(connection) as captured:
        dashboard.load(Selection(plan=plan.pk) if is_filtered else ALL, now=NOW)
    (read,) = [q["sql"] for q in captured if "progress_interactionlog" in q["sql"]]
    explain = "EXPLAIN" if connection.vendor == "mysql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {read}")
        plans = [str(row) for row in cursor.fetchall() if "interactionlog" in str(row)]
    assert plans
    assert all("progress_received" in step for step in plans), plans


# --- The page -------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_page_shows_charts_with_titles_descriptions_and_tables(
    browser, player, language
):
    make_interaction(player, received_at=NOW)
    browser.cookies["django_language"] = language
    text = browser.get(PAGE).content.decode()
    assert text.count('role="img"') == 3
    for key in ("hours", "xp", "streaks"):
        assert f'<title id="{key}-title">' in text
        assert f'<desc id="{key}-desc">' in text
        assert f'aria-labelledby="{key}-title"' in text
        assert f'<details id="{key}-table">' in text
    assert browser.get(NOW_URL).content.decode().count("<table>") == 3
    assert text.count('class="bar-players"') == 48 + 7 + 7


def test_the_refresh_answers_304_until_a_number_changes(browser, player):
    etag = browser.get(PAGE).context["etag"]
    assert browser.get(NOW_URL, headers={"If-None-Match": etag}).status_code == 304
    make_interaction(player, received_at=NOW)
    answer = browser.get(NOW_URL, headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer["ETag"] != etag
    assert "<html" not in answer.content.decode()


def test_support_sees_the_page_and_its_entry_editors_do_not(
    client_of, support, editor, player
):
    page = client_of(support).get(PAGE)
    assert page.status_code == 200
    assert "?type__exact=refused" in page.content.decode()
    assert PAGE in client_of(support).get("/admin/players/").content.decode()
    for address in (PAGE, NOW_URL):
        assert client_of(editor).get(address).status_code == 403
        assert client_of(support).post(address).status_code == 405


def test_who_may_not_see_events_or_runs_gets_no_links_to_them(client_of, player):
    user = User.objects.create_user("watch@example.com", "p", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_playerprofile"))
    text = client_of(user).get(PAGE).content.decode()
    assert "securityevent" not in text
    assert "publishing/dashboard" not in text


def test_a_players_name_is_escaped(browser, plan):
    player = join("x", plan)
    User.objects.filter(pk=player.user_id).update(full_name="<b>x</b>")
    for _ in range(2):
        devices.add(player_id=player.pk, device_id=uuid.uuid4())
    refuse(player, code="DEVICE_NOT_AUTHORIZED")
    text = browser.get(PAGE).content.decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "<b>x</b>" not in text


# --- Bars -----------------------------------------------------------------------------


def test_bars_fill_the_chart_and_a_small_number_stays_visible():
    drawn = charts.bars([Value("", "", count) for count in (0, 1, 1_000)])
    assert [bar.height for bar in drawn] == [0, 2, HEIGHT - 4]
    assert all(bar.y + bar.height == HEIGHT for bar in drawn)
    assert drawn[-1].x + drawn[-1].width <= WIDTH


def test_a_chart_without_players_has_bars_of_no_height():
    assert [bar.height for bar in charts.bars([Value("", "", 0)] * 3)] == [0, 0, 0]


# --- Metrics --------------------------------------------------------------------------


def test_the_metrics_count_players_sessions_and_refused_sign_ins(client, plan, app_of):
    app_of(join("a", plan))
    refuse(join("b", plan), code="DEVICE_NOT_AUTHORIZED")
    text = client.get("/metrics").content.decode()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found[("memora_players",)] == 2
    assert found[("memora_active_sessions",)] == 1
    assert found[("memora_refused_sign_ins_last_day", "DEVICE_NOT_AUTHORIZED")] == 1
