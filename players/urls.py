"""URLs of the players' API; each name is also the endpoint of its rate limit."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from players import views

router = SimpleRouter()
router.register("auth", views.AuthViewSet, basename="auth")
router.register("devices", views.DevicesViewSet, basename="devices")
router.register("me", views.MeViewSet, basename="me")
router.register("wallet", views.WalletViewSet, basename="wallet")
router.register("content", views.ContentViewSet, basename="content")
router.register("admin/devices", views.StaffDevicesViewSet, basename="staff-devices")
router.register("admin/wallets", views.StaffWalletsViewSet, basename="staff-wallets")

urlpatterns: list[URLPattern | URLResolver] = router.urls
