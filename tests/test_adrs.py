"""Decisions (docs/adr/) are numbered without gaps, and each says its own number."""

from pathlib import Path

ADRS = Path(__file__).parents[1] / "docs" / "adr"


def test_decisions_are_numbered_one_after_the_other():
    names = sorted(path.name for path in ADRS.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_a_decision_has_the_number_of_its_file():
    for path in ADRS.glob("[0-9]*.md"):
        assert path.read_text().startswith(f"# {int(path.name[:4])}. "), path.name
