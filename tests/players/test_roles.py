"""Roles of staff: the exact permissions of each."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission

from players import roles

pytestmark = pytest.mark.django_db


def granted(name):
    rows = Group.objects.get(name=name).permissions.values_list(
        "content_type__app_label", "codename"
    )
    return {f"{app}.{codename}" for app, codename in rows}


def test_system_managers_may_do_everything_in_our_apps_but_rewrite_history():
    ours = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.filter(
            content_type__app_label__in=[
                "content",
                "plans",
                "publishing",
                "players",
                "progress",
            ]
        ).values_list("content_type__app_label", "codename")
    }
    refused = {
        f"{model}"
        for app, name in (
            ("players", "securityevent"),
            ("players", "erasure"),
            ("progress", "interactionlog"),
            ("progress", "reviewrating"),
        )
        for model in (
            f"{app}.{action}_{name}" for action in ("add", "change", "delete")
        )
    }
    # It makes a class one's own, and opens nothing that they may not see.
    refused.add("players.teach_studygroup")
    # Records of the CRM are changed there.
    registrar = {
        f"registrar.{codename}"
        for codename in Permission.objects.filter(
            content_type__app_label="registrar"
        ).values_list("codename", flat=True)
        if codename.startswith(("view_", "replay_"))
    } | {
        "registrar.change_registrarsettings",
        "registrar.add_requestwindow",
        "registrar.change_requestwindow",
        "registrar.add_programaccess",
        "registrar.change_programaccess",
        "registrar.delete_programaccess",
        "registrar.add_studentaccount",
        "registrar.delete_studentaccount",
        "registrar.change_studentcard",
    }
    seen = registrar | {"admin.view_logentry"}
    assert granted("System Managers") == (ours - refused) | seen
    assert "progress.view_interactionlog" in granted("System Managers")


def test_content_editors_write_content_and_see_plans():
    has = granted("Content Editors")
    assert {"content.add_lesson", "content.change_node", "content.delete_topic"} <= has
    assert "plans.view_academicplan" in has
    assert {one.split(".")[0] for one in has} == {"content", "plans", "progress"}
    assert [one for one in has if one.startswith("progress.")] == [
        "progress.view_lessonstatistics"
    ]
    assert not [one for one in has if one.startswith("plans.") and ".view_" not in one]


def test_publishers_write_plans_and_see_content():
    has = granted("Publishers")
    assert {"plans.add_academicplan", "plans.delete_planoverride"} <= has
    assert {
        "publishing.change_publishingsettings",
        "publishing.view_synclog",
        "content.view_lesson",
    } <= has
    assert not [one for one in has if one.startswith("players.")]
    assert not [
        one for one in has if one.startswith("content.") and ".view_" not in one
    ]


def test_support_helps_players_and_cannot_make_staff():
    has = granted("Support")
    assert {
        "players.add_device",
        "players.delete_device",
        "players.add_enrollment",
        "players.add_entitlement",
        "players.delete_session",
        "players.correct_playerwallet",
        "players.switch_playerprofile",
        "players.reset_password_playerprofile",
        "players.view_securityevent",
        "progress.view_interactionlog",
    } <= has
    assert not has & {
        "players.change_user",
        "players.add_user",
        "players.delete_user",
        "players.delete_playerprofile",
        "players.change_playerwallet",
        "players.change_session",
        "players.erase_playerprofile",
        "players.export_playerprofile",
        "plans.view_academicplan",
    }


def test_running_twice_changes_nothing_and_strays_are_taken_away():
    before = {
        name: granted(name) for name in Group.objects.values_list("name", flat=True)
    }
    assert set(before) == {
        "System Managers",
        "Content Editors",
        "Publishers",
        "Support",
        "Teachers",
        "Registrar",
        "Registrar viewer",
    }
    Group.objects.get(name="Support").permissions.add(
        Permission.objects.get(codename="delete_user")
    )
    roles.ensure(using="default", apps=apps)
    assert {name: granted(name) for name in before} == before
