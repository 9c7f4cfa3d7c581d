"""A lost race is retried; when saving fails, the page keeps the typed values."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, OperationalError
from django.urls import reverse

from content import services
from content.admin.tree import NodeAdmin
from content.models import Node
from core.errors import StructureError
from plans.models import AcademicPlan

pytestmark = pytest.mark.django_db

DEADLOCK = OperationalError(1213, "Deadlock found; try restarting transaction")
TREE = reverse("admin:content_node_changelist")


def post(browser, url, data, **extra):
    """Post a form as a browser does."""
    return browser.post(url, data, headers={"Accept": "text/html,*/*;q=0.8"}, **extra)


@pytest.fixture
def losing(monkeypatch):
    """Return a function that makes the first ``times`` calls of an attribute fail."""

    def make(owner, name, *, times, error=DEADLOCK):
        real = getattr(owner, name)
        runs = []

        def run(*args, **kwargs):
            runs.append(args)
            if len(runs) <= times:
                raise error
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, run)
        return runs

    return make


def typed(page):
    """The hidden fields with which the page can be posted again, by name."""
    inputs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return dict(inputs)


def page_of(node):
    return reverse("admin:content_node_change", args=[node.pk])


def test_saving_again_after_a_lost_race_saves(browser, maths, losing):
    losing(NodeAdmin, "save_model", times=2)
    answer = post(browser, page_of(maths["unit"]), {"title": "Limits"})
    assert answer.status_code == 302
    assert Node.objects.get(pk=maths["unit"].pk).title == "Limits"


def test_a_race_lost_thrice_keeps_what_was_typed(browser, maths, losing):
    runs = losing(NodeAdmin, "save_model", times=3)
    data = {"title": 'Limits & "more"', "_continue": "yes"}
    answer = post(browser, page_of(maths["unit"]), data)
    assert (answer.status_code, len(runs)) == (409, 3)
    page = answer.content.decode()
    assert "Another user changed the same data" in page
    kept = typed(page)
    assert kept["title"] == "Limits &amp; &quot;more&quot;"
    assert kept["_continue"] == "yes"
    assert Node.objects.get(pk=maths["unit"].pk).title == maths["unit"].title


def test_who_has_waited_long_for_a_lock_is_told_at_once(
    browser, maths, losing, monkeypatch
):
    runs = losing(NodeAdmin, "save_model", times=1)
    monkeypatch.setattr("memora_site.conflict_retry._PATIENCE", 0.0)
    answer = post(browser, page_of(maths["unit"]), {"title": "Limits"})
    assert (answer.status_code, len(runs)) == (409, 1)


@pytest.mark.parametrize(
    "field", ["password1", "cdn_secret_key", "cdn_access_key", "cloudflare_token"]
)
def test_what_was_typed_as_a_secret_is_not_sent_back(browser, maths, losing, field):
    losing(NodeAdmin, "save_model", times=3)
    data = {"title": "Limits", field: "well-hidden-1"}
    page = post(browser, page_of(maths["unit"]), data).content.decode()
    assert typed(page)["title"] == "Limits"
    assert "well-hidden-1" not in page


def test_a_request_with_a_file_is_not_run_again_but_asks_for_the_file(
    browser, maths, losing
):
    runs = losing(NodeAdmin, "save_model", times=1)
    data = {"title": "Limits", "seen": "", "notes": SimpleUploadedFile("a.txt", b"a")}
    answer = post(browser, page_of(maths["unit"]), data)
    assert (answer.status_code, len(runs)) == (409, 1)
    assert '<input type="file" name="notes">' in answer.content.decode()


def test_an_id_that_somebody_took_meanwhile_is_said_at_the_field(
    browser, maths, losing, monkeypatch
):
    runs = losing(services, "create_node", times=1, error=IntegrityError(1062))
    real = NodeAdmin.changeform_view

    def view(*args, **kwargs):
        if runs:
            Node.objects.filter(pk=maths["lesson"].pk).update(public_id="LES-TAKEN")
        return real(*args, **kwargs)

    monkeypatch.setattr(NodeAdmin, "changeform_view", view)
    data = {"title": "Mine", "public_id": "LES-TAKEN", "base_xp": 10}
    data |= {"stages-TOTAL_FORMS": 0, "stages-INITIAL_FORMS": 0}
    add = reverse("admin:content_node_add")
    page = post(browser, f"{add}?parent={maths['topic'].pk}", data)
    assert page.status_code == 200
    assert "public_id" in page.context["adminform"].form.errors
    assert 'value="Mine"' in page.content.decode()


def test_a_script_is_told_as_a_script(browser, maths, losing):
    losing(services, "move_nodes", times=3)
    first, second = maths["lessons"]
    move = reverse("admin:content_node_move")
    data = {"nodes": second.pk, "target": first.pk, "position": "left"}
    answer = browser.post(move, data)
    assert answer.status_code == 409
    assert "try again" in answer.json()["error"]


def test_another_failure_of_the_database_is_an_error(browser, maths, losing):
    runs = losing(NodeAdmin, "save_model", times=1, error=OperationalError("gone"))
    with pytest.raises(OperationalError, match="gone"):
        post(browser, page_of(maths["unit"]), {"title": "Limits"})
    assert len(runs) == 1


def test_a_refused_deletion_is_a_message(browser, maths, losing):
    losing(services, "delete_node", times=1, error=StructureError("It has been moved."))
    url = reverse("admin:content_node_delete", args=[maths["unit"].pk])
    answer = post(browser, url, {"post": "yes"})
    assert answer.status_code == 409
    assert "It has been moved." in answer.content.decode()
    assert Node.objects.filter(pk=maths["unit"].pk).exists()


def test_of_several_to_delete_all_go_or_none_and_nothing_is_logged(
    browser, maths, monkeypatch
):
    lessons = [lesson.pk for lesson in maths["lessons"]]
    real = services.delete_nodes

    def fail_late(*, nodes):
        real(nodes=nodes)
        raise StructureError("It has been moved.")

    monkeypatch.setattr(services, "delete_nodes", fail_late)
    data = {"action": "delete_selected", "_selected_action": lessons, "post": "yes"}
    assert post(browser, TREE, data).status_code == 409
    assert Node.objects.filter(pk__in=lessons).count() == 2
    assert not LogEntry.objects.exists()


def test_an_override_that_lost_its_race_is_said_all_the_same(
    browser, plan, maths, losing
):
    losing(AcademicPlan, "mark_changed", times=1)
    url = reverse("admin:plans_override", args=[plan.pk, maths["unit"].pk])
    answer = post(browser, url, {"action": "hide"})
    assert answer.status_code == 302
    assert plan.overrides.get().action == "hide"
