"""A class and a school sign in behind one address, with a guesser among them.

The limits are the shipped ones. Redis ends its windows by its own clock, so the `Clock`
of these tests ends them instead of waiting.
"""

from collections import Counter
from uuid import uuid4

import pytest
from django.conf import settings as site

from players import keys
from players.services import accounts, rates
from tests.players.app import PASSWORD, App

CLASS, CLASS_SECONDS = 40, 120
SCHOOL, SCHOOL_SECONDS = 800, 30 * 60
ADDRESS = "198.51.100.1"
HOUR = 3_600


class Clock:
    """Ends each window of attempts after its length in seconds of this clock.

    A window begins with its first attempt. The time that the test itself takes does not
    count: the keys get a long life in Redis.
    """

    def __init__(self, redis) -> None:
        self._redis = redis
        self._now = 0.0
        self._ends: dict[bytes, float] = {}

    def wait(self, seconds: float) -> None:
        for key in self._redis.keys(keys.attempts("*", "*")):
            if key not in self._ends:
                scope = key.decode().split(":")[-2]
                self._ends[key] = self._now + site.RATE_LIMITS[scope][1]
                self._redis.expire(key, 24 * HOUR)
        self._now += seconds
        for key in [key for key, end in self._ends.items() if end <= self._now]:
            del self._ends[key]
            self._redis.delete(key)


@pytest.fixture
def clock(redis_client) -> Clock:
    return Clock(redis_client)


def email(number: int) -> str:
    return f"student-{number}@school.example"


def app(device_id: str = "") -> App:
    behind = App(device_id)
    behind.client.credentials(HTTP_X_FORWARDED_FOR=ADDRESS)
    return behind


@pytest.mark.django_db
def test_a_class_of_40_signs_in_within_two_minutes_beside_a_guesser(clock, settings):
    settings.TRUSTED_PROXIES = 1
    victim, careless = 20, 7
    for number in range(CLASS):
        accounts.create_player(email(number), PASSWORD)
    phone = app()
    assert phone.sign_in(email(victim)).status_code == 200  # yesterday
    guesser = app()
    guesses: Counter[int] = Counter()
    for number in range(CLASS):
        student = phone if number == victim else app()
        for _mistake in range(3 if number == careless else 0):
            assert student.sign_in(email(number), "mistyped").status_code == 401
        assert student.sign_in(email(number)).status_code == 200
        for second in range(CLASS_SECONDS // CLASS):
            guess = guesser.sign_in(email(victim), f"guess-{number}-{second}")
            guesses[guess.status_code] += 1
            clock.wait(1)
    assert guesses == {401: 10, 429: CLASS_SECONDS - 10}


def attempt(number: int, *, is_right: bool, is_own_device: bool = False) -> bool:
    """Sign in as the service does; return whether a password would be judged."""
    taken = rates.take_login(
        email=email(number),
        device_id=uuid4(),
        is_own_device=is_own_device,
        ip_address=ADDRESS,
    )
    assert taken.usage is not None
    if taken.usage.is_allowed and is_right:
        taken.give_back("login_ip", "login_account")
    return taken.usage.is_allowed


def test_a_school_of_800_signs_in_within_half_an_hour_beside_a_guesser(clock):
    """All on new devices; of each twenty, one mistypes three times."""
    judged = 0
    for number in range(SCHOOL):
        for _mistake in range(3 if number % 20 == 7 else 0):
            assert attempt(number, is_right=False)
        assert attempt(number, is_right=True)
        for _guess in range(2):
            judged += attempt(SCHOOL, is_right=False)
        clock.wait(SCHOOL_SECONDS / SCHOOL)
    assert judged == 10 * SCHOOL_SECONDS // 300


def test_an_account_is_guessed_at_120_times_an_hour_at_most(clock):
    judged = 0
    for _second in range(HOUR):
        judged += attempt(1, is_right=False)
        clock.wait(1)
    assert judged == 120


def test_an_address_guesses_3600_times_an_hour_at_most_over_all_accounts(clock):
    judged = 0
    for second in range(HOUR // 10):
        judged += sum(attempt(second * 20 + n, is_right=False) for n in range(20))
        clock.wait(10)
    assert judged == 3_600


def test_a_guesser_of_many_accounts_stops_new_devices_there_but_no_known_one(clock):
    for number in range(300):
        assert attempt(number, is_right=False)
    assert not attempt(301, is_right=True)
    assert attempt(302, is_right=True, is_own_device=True)
    clock.wait(300)
    assert attempt(301, is_right=True)
