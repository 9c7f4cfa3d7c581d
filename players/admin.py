"""The admin of accounts and players; it calls `players.services`."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from core.admin_mixins import NoRelatedButtons, ReadOnlyAdmin
from core.badges import badge
from core.errors import MemoraError
from core.searching import FoldedSearch
from plans import queries
from plans.queries import SoldContent
from players import (
    audit,
    hooks,
    support_page,
)
from players.audit_admin import LogEntryAdmin, SecurityEventAdmin
from players.authentication import staff_of
from players.credentials import canonical_phone
from players.forms import (
    MOST_XP,
    EnrollmentForm,
    EnrollmentFormSet,
    EntitlementForm,
    NewPlayerForm,
    UserChangeForm,
    UserCreationForm,
)
from players.group_admin import StudyGroupAdmin
from players.models import (
    Enrollment,
    Entitlement,
    Erasure,
    PlayerProfile,
    SecurityEvent,
    SecurityEventType,
    SessionEndReason,
    StudyGroup,
    User,
)
from players.privacy_actions import PrivacyActions
from players.records import StoreUnavailableError
from players.services import accounts, sessions
from players.support_actions import SupportActions, redis_away

_DIGITS_OF_A_PHONE = 6
"""Shorter numbers are searched as they are typed."""


class RedisMayBeAway:
    """Admin mixin: shows a message when a save fails because Redis is away."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            page: Any = super()
            return page.changeform_view(request, object_id, form_url, extra_context)
        except StoreUnavailableError:
            messages.error(request, redis_away())
        return HttpResponseRedirect(request.get_full_path())


admin.site.register(StudyGroup, StudyGroupAdmin)
admin.site.register(SecurityEvent, SecurityEventAdmin)
admin.site.register(LogEntry, LogEntryAdmin)


@admin.register(User)
class UserAdmin(FoldedSearch, RedisMayBeAway, DjangoUserAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    list_display = ("email", "full_name", "is_staff", "is_active", "last_login")
    list_filter = ("is_staff", "is_active", "groups")
    search_fields = ("full_name_folded", "email")
    ordering = ("email",)
    fieldsets = (
        (None, {"fields": ("email", "full_name", "password")}),
        (
            gettext_lazy("Permissions"),
            {
                "fields": (
                    "is_active",
                    "is_staff",
                    "groups",
                    "is_superuser",
                    "user_permissions",
                )
            },
        ),
        (gettext_lazy("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "email",
                    "full_name",
                    "password1",
                    "password2",
                ),
            },
        ),
    )
    readonly_fields = ("last_login", "date_joined")

    def get_readonly_fields(
        self, request: HttpRequest, obj: User | None = None
    ) -> tuple[str, ...]:
        """Make rights read-only: only superusers grant all; none edits their own."""
        fixed: tuple[str, ...] = ("last_login", "date_joined")
        if not request.user.is_superuser:
            fixed = (*fixed, "is_superuser", "user_permissions")
            if obj == request.user:
                fixed = (*fixed, "is_staff", "groups")
        return fixed

    def has_change_permission(
        self, request: HttpRequest, obj: User | None = None
    ) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(
        self, request: HttpRequest, obj: User | None = None
    ) -> bool:
        """Refuse for a student's account: `PrivacyActions` erases it."""
        return (
            super().has_delete_permission(request, obj)
            and _may_touch(request, obj)
            and not (obj and PlayerProfile.objects.filter(user=obj).exists())
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the empty accounts of erased students."""
        accounts: QuerySet[Any] = super().get_queryset(request)
        return accounts.exclude(player__erased_at__isnull=False)


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Return whether the request may change this account.

    Only a superuser may change a superuser: a new password gives the whole account.
    """
    return user is None or not user.is_superuser or request.user.is_superuser


class EnrollmentInline(NoRelatedButtons, admin.TabularInline):  # type: ignore[type-arg]
    model = Enrollment
    form = EnrollmentForm
    formset = EnrollmentFormSet
    fields = ("plan", "created_at")
    readonly_fields = ("created_at",)
    extra = 0
    verbose_name_plural = gettext_lazy("plans")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("plan")


class EntitlementInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Entitlement
    form = EntitlementForm
    fields = ("item", "opens", "valid_until", "created_at")
    readonly_fields = ("opens", "created_at")
    extra = 0
    verbose_name_plural = gettext_lazy("products")

    @cached_property
    def sold_content(self) -> dict[str, SoldContent]:
        """What each product opens; the inline lives as long as the request."""
        return {sold.code: sold for sold in queries.sold_content()}

    @admin.display(description=gettext_lazy("opens"))
    def opens(self, entitlement: Entitlement) -> str | SafeString:
        if not entitlement.item:
            return "–"
        sold = self.sold_content.get(entitlement.item)
        if sold is None:
            return badge("!", _("Nothing needs this code"), "waiting")
        return format_html("{}: <bdi>{}</bdi>", capfirst(sold.kind), sold.title)


@admin.register(PlayerProfile)
class PlayerAdmin(
    PrivacyActions,
    SupportActions,
    FoldedSearch,
    RedisMayBeAway,
    NoRelatedButtons,
    admin.ModelAdmin,  # type: ignore[type-arg]
):
    list_display = (
        "name",
        "email",
        "school_number",
        "state",
        "active_plan",
        "grade",
        "created_at",
    )
    list_display_links = ("name", "email")
    list_filter = ("memberships__group", "active_plan", "grade", "stream", "season")
    list_select_related = ("user", "active_plan", "grade")
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("user__full_name_folded", "user__email", "school_number", "phone")
    search_help_text = gettext_lazy("Search by name, e-mail, phone or school number")
    ordering = ("-pk",)
    fields = (
        "active_plan",
        ("school_number", "phone"),
        ("grade", "stream", "season"),
        "photo",
    )
    inlines = (EnrollmentInline, EntitlementInline)
    actions = ("end_session", "export_chosen", "erase_chosen")
    change_form_template = "admin/players/player_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out rows that only hold the ledger of an erased student."""
        players: QuerySet[Any] = super().get_queryset(request)
        return players.filter(erased_at=None)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Also find a phone number that is written in another way."""
        found, _repeats = super().get_search_results(request, queryset, search_term)
        # A number inside the country has a zero where others have the country's code.
        digits = canonical_phone(search_term).lstrip("+0")
        if len(digits) >= _DIGITS_OF_A_PHONE and digits.isdecimal():
            found |= queryset.filter(phone__contains=digits)
        return found, False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        player = context.get("original")
        if player is not None:
            context |= {
                "title": player.user.get_full_name(),
                "subtitle": None,
                "state": self.state(player),
                "desk": support_page.load(player, now=timezone.now()),
                "panels": hooks.player_panels(request, player),
                "may": self.allowed_actions(request),
                "may_erase": self.has_erase_permission(request),
                "may_export": self.has_export_permission(request),
                "may_see_account": request.user.has_perm("players.view_user"),
                "may_see_events": request.user.has_perm("players.view_securityevent"),
                "most_xp": MOST_XP,
                "most_freezes": settings.STREAK_MOST_FREEZES,
                "show_save_and_add_another": False,
            }
        return super().render_change_form(request, context, *args, **kwargs)

    # --- Columns and lines --------------------------------------------------

    @admin.display(description=gettext_lazy("name"), ordering="user__full_name")
    def name(self, player: PlayerProfile) -> str:
        return player.user.get_full_name()

    @admin.display(description=gettext_lazy("e-mail"), ordering="user__email")
    def email(self, player: PlayerProfile) -> str:
        address: str = player.user.email
        return address

    @admin.display(description=gettext_lazy("state"), ordering="user__is_active")
    def state(self, player: PlayerProfile) -> SafeString:
        if player.user.is_active:
            return badge("●", _("Active"), "done")
        return badge("⊘", _("Switched off"), "quiet")

    # --- Adding a player ----------------------------------------------------

    def get_form(
        self,
        request: HttpRequest,
        obj: PlayerProfile | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        if obj is None:
            kwargs.setdefault("form", NewPlayerForm)
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: PlayerProfile | None = None) -> Any:
        if obj is None:
            return (
                "email",
                "full_name",
                "password",
                ("school_number", "phone"),
                "grade",
                "plan",
            )
        return self.fields

    def get_fieldsets(
        self, request: HttpRequest, obj: PlayerProfile | None = None
    ) -> Any:
        title = None if obj is None else _("Plan and details")
        return [(title, {"fields": self.get_fields(request, obj)})]

    def get_inlines(self, request: HttpRequest, obj: PlayerProfile | None) -> Any:
        return () if obj is None else self.inlines

    def save_model(
        self, request: HttpRequest, obj: PlayerProfile, form: Any, change: bool
    ) -> None:
        if change:
            super().save_model(request, obj, form, change)
            if "active_plan" in form.changed_data:
                audit.record(
                    SecurityEventType.PLAN_ACTIVATED,
                    user_id=obj.user_id,
                    plan=obj.active_plan_id,
                    previous=form.initial.get("active_plan"),
                )
            return
        given = form.cleaned_data
        created = accounts.create_player(
            given["email"],
            given["password"],
            full_name=given["full_name"],
            school_number=given["school_number"],
            phone=given["phone"],
            grade=given["grade"],
            plan=given["plan"],
        )
        # The admin uses ``obj`` afterwards, for its log entry and its redirect.
        obj.__dict__.update(created.__dict__)

    # --- Actions ------------------------------------------------------------

    @admin.action(description=gettext_lazy("End the session"), permissions=["change"])
    def end_session(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        ended = 0
        for player in queryset:
            try:
                ended += sessions.end_session(
                    player.pk, SessionEndReason.ENDED_BY_STAFF, actor=staff_of(request)
                )
            except MemoraError as refusal:
                messages.error(request, refusal.message)
            except StoreUnavailableError:
                messages.error(request, redis_away())
                return
        said = ngettext("%(count)d session ended.", "%(count)d sessions ended.", ended)
        messages.success(request, said % {"count": ended})


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """The erased students by number, with the steps that remain."""

    list_display = ("erased_at", "player_number", "state", "actor")
    list_select_related = ("actor",)
    search_fields = ("=player_number",)
    search_help_text = gettext_lazy("Search by player number")
    fields = (
        "erased_at",
        "player_number",
        "user_number",
        "actor",
        "keeps_ledger",
        "state",
        "finished_at",
    )

    @admin.display(description=gettext_lazy("state"))
    def state(self, entry: Erasure) -> SafeString:
        if entry.remaining:
            return badge(
                "⟳", _("Remaining: %s") % ", ".join(entry.remaining), "waiting"
            )
        return badge("●", _("Erased"), "done")
