"""The tables of players: accounts, sessions, access, wallets, the audit trail, imports."""

from players.models.access import Enrollment, Entitlement, GroupMember, StudyGroup
from players.models.accounts import (
    WATCHED,
    PlayerProfile,
    User,
    UserManager,
    photo_name,
)
from players.models.audit import SecurityEvent, SecurityEventType
from players.models.erasures import Erasure
from players.models.imports import ImportStatus, StudentImport
from players.models.sessions import (
    DEVICE_SLOTS,
    Device,
    DeviceReplacement,
    EndedSession,
    PasswordResetCode,
    Session,
    SessionEndReason,
)
from players.models.staff_requests import StaffRequest
from players.models.wallet import PlayerWallet, WriteBackRun

__all__ = [
    "DEVICE_SLOTS",
    "WATCHED",
    "Device",
    "DeviceReplacement",
    "EndedSession",
    "Enrollment",
    "Entitlement",
    "Erasure",
    "GroupMember",
    "ImportStatus",
    "PasswordResetCode",
    "PlayerProfile",
    "PlayerWallet",
    "SecurityEvent",
    "SecurityEventType",
    "Session",
    "SessionEndReason",
    "StaffRequest",
    "StudentImport",
    "StudyGroup",
    "User",
    "UserManager",
    "WriteBackRun",
    "photo_name",
]
