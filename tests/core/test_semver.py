"""Versions of apps, as Semantic Versioning orders them."""

import itertools

import pytest

from core import semver

IN_ORDER = [
    "0.0.4",
    "0.9.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.1a",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0",
    "10.0.0",
]


@pytest.mark.parametrize(("lower", "higher"), list(itertools.pairwise(IN_ORDER)))
def test_versions_are_ordered_as_the_standard_says(lower, higher):
    assert semver.precedence(lower) < semver.precedence(higher)


def test_builds_of_a_version_are_equal():
    assert semver.precedence("1.2.3+5") == semver.precedence("1.2.3+6.exp")


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "01.2.3", "1.2.03", "-1.2.3"),
        *("1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", " 1.2.3", "1.2.3\n", "١.٢.٣"),
        "1.2." + "3" * 100,
    ],
)
def test_other_texts_are_no_versions(text):
    assert semver.precedence(text) is None
