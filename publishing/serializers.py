"""Responses of the staff API for publishing."""

from typing import Any

from rest_framework import serializers


class WaitingSerializer(serializers.Serializer[Any]):
    """A plan that waits to be built or withdrawn."""

    plan = serializers.CharField()
    title = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)


class RunSerializer(serializers.Serializer[Any]):
    """A run that is unfinished or has failed.

    ``at`` is when it started, is retried or failed.
    """

    entry = serializers.IntegerField()
    plan = serializers.CharField()
    step = serializers.CharField()
    trigger = serializers.CharField()
    attempts = serializers.IntegerField()
    at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField()
    document = serializers.CharField()
    json_path = serializers.CharField()
    is_alive = serializers.BooleanField(allow_null=True)


class PlanStateSerializer(serializers.Serializer[Any]):
    """A plan's last release."""

    plan = serializers.CharField()
    generation = serializers.IntegerField(allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    last_success = serializers.DateTimeField(allow_null=True)
    rolled_back_at = serializers.DateTimeField(allow_null=True)


class QueueStatusSerializer(serializers.Serializer[Any]):
    """The publishing status, as ``manage.py queue_status --json`` prints it."""

    pending_plans = serializers.IntegerField()
    oldest_seconds = serializers.FloatField(allow_null=True)
    dead_letter_count = serializers.IntegerField()
    failed_upload_count = serializers.IntegerField()
    now = serializers.DateTimeField()
    pending = WaitingSerializer(many=True)
    withdrawing = WaitingSerializer(many=True)
    building = RunSerializer(many=True)
    uploading = RunSerializer(many=True)
    waiting_uploads = RunSerializer(many=True)
    retries = RunSerializer(many=True)
    dead_letters = RunSerializer(many=True)
    failed_uploads = RunSerializer(many=True)
    recent_failures = RunSerializer(many=True)
    plans = PlanStateSerializer(many=True)
    last_processed = serializers.DateTimeField(allow_null=True)
    worker_seen = serializers.DateTimeField(allow_null=True)
    beat_seen = serializers.DateTimeField(allow_null=True)


class StepSerializer(serializers.Serializer[Any]):
    """One step of the CDN test and its result."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    message = serializers.CharField()


class ConnectionSerializer(serializers.Serializer[Any]):
    """The result of the CDN test, as ``manage.py check_cdn --json`` prints it."""

    ok = serializers.BooleanField()
    steps = StepSerializer(many=True)
