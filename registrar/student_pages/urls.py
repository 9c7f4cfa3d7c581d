"""The addresses of the students' pages, below ``/student/``."""

from django.urls import path

from registrar.student_pages import card_views, request_views, sign_in_views, views

urlpatterns = [
    path("", views.profile, name="student-profile"),
    path("sign-in/", sign_in_views.sign_in, name="student-sign-in"),
    path("link/", sign_in_views.use_link, name="student-link"),
    path("may-send/", sign_in_views.may_send, name="student-may-send"),
    path("sign-out/", sign_in_views.sign_out, name="student-sign-out"),
    path("programs/", views.programs, name="student-programs"),
    path("classes/", views.classes, name="student-classes"),
    path("grades/", views.grades, name="student-grades"),
    path("requests/", request_views.requests, name="student-requests"),
    path(
        "requests/<slug:kind>/", request_views.new_request, name="student-new-request"
    ),
    path("card/", card_views.card, name="student-card"),
    path("card/card.pdf", card_views.pdf, name="student-card-pdf"),
    path("card/photo/", card_views.photo, name="student-card-photo"),
    path("card/check/<str:signed>/", card_views.check, name="student-card-check"),
]
