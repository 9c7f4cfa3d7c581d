"""URLs of the players' API; each name is also the endpoint of its rate limit."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from players import account_views, plan_views, staff_views, views

router = SimpleRouter()
router.register("auth", views.AuthViewSet, basename="auth")
router.register("devices", views.DevicesViewSet, basename="devices")
router.register("me/devices", account_views.OwnDevicesViewSet, basename="me-devices")
router.register("wallet", views.WalletViewSet, basename="wallet")
router.register("content", views.ContentViewSet, basename="content")
router.register("admin/devices", views.StaffDevicesViewSet, basename="staff-devices")
router.register(
    "admin/players", staff_views.StaffPlayersViewSet, basename="staff-players"
)
router.register("admin/wallets", views.StaffWalletsViewSet, basename="staff-wallets")

urlpatterns: list[URLPattern | URLResolver] = [
    path(
        "me/",
        account_views.MeViewSet.as_view({"get": "list", "patch": "partial_update"}),
        name="me-list",
    ),
    path(
        "me/photo/",
        account_views.PhotoViewSet.as_view({"put": "update", "delete": "destroy"}),
        name="me-photo",
    ),
    path(
        "me/password/",
        account_views.PasswordViewSet.as_view({"post": "create"}),
        name="me-password",
    ),
    path(
        "auth/password-reset/",
        account_views.PasswordResetViewSet.as_view({"post": "create"}),
        name="auth-password-reset",
    ),
    path(
        "auth/password-reset/confirm/",
        account_views.PasswordResetViewSet.as_view({"post": "confirm"}),
        name="auth-password-reset-confirm",
    ),
    path(
        "me/plans/",
        plan_views.PlansViewSet.as_view({"get": "list"}),
        name="me-plans",
    ),
    path(
        "me/plan/",
        plan_views.PlansViewSet.as_view({"put": "update"}),
        name="me-plan",
    ),
    path(
        "me/entitlements/",
        plan_views.EntitlementsViewSet.as_view({"get": "list"}),
        name="me-entitlements",
    ),
    *router.urls,
]
