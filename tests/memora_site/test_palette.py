"""Every pair of text and background colour meets WCAG AA contrast, in both schemes."""

import re
from itertools import product

import pytest
from django.contrib.staticfiles import finders

AA = 4.5  # for text of normal size
SCHEMES = ["light", "dark"]
# Django's own style sheets apply where ours set nothing.
ADMIN = ["admin/css/base.css", "admin/css/dark_mode.css", "memora/admin.css"]
_RULE = re.compile(r"--(?P<name>[a-z-]+):\s*(?P<value>(?:\([^)]*\)|[^;(])+);")
_BOTH = re.compile(r"light-dark\((?P<light>[^,]+), (?P<dark>[^)]+)\)")

ADMIN_PAIRS = [
    *product(
        ("body-fg", "body-quiet-color", "body-medium-color", "body-loud-color"),
        ("body-bg", "darkened-bg", "selected-bg", "selected-row"),
    ),
    *product(
        ("link-fg", "link-hover-color", "link-selected-fg", "error-fg"),
        ("body-bg", "darkened-bg", "selected-bg", "selected-row"),
    ),
    *product(
        ("body-fg",), ("message-success-bg", "message-warning-bg", "message-error-bg")
    ),
    *product(
        ("header-color", "header-link-color", "header-branding-color"), ("header-bg",)
    ),
    *product(("primary-fg", "header-link-color", "accent"), ("primary", "secondary")),
    *product(("breadcrumbs-fg", "breadcrumbs-link-fg"), ("breadcrumbs-bg",)),
    *product(
        ("button-fg",),
        (
            *("button-bg", "button-hover-bg"),
            *("default-button-bg", "default-button-hover-bg"),
            *("close-button-bg", "close-button-hover-bg"),
            *("delete-button-bg", "delete-button-hover-bg"),
        ),
    ),
    *product(("object-tools-fg",), ("object-tools-bg", "object-tools-hover-bg")),
    *(
        (f"{tone}-fg", ground)
        for tone in ("done", "waiting", "failed", "action")
        for ground in (f"{tone}-bg", "body-bg", "darkened-bg")
    ),
    *product(
        ("body-fg", "body-quiet-color"),
        ("action-bg", "waiting-bg", "done-bg", "quiet-bg"),
    ),
    ("body-medium-color", "quiet-bg"),
    ("link-fg", "action-bg"),
    ("body-bg", "done-fg"),
]
PREVIEW_PAIRS = [
    *product(("fg", "quiet", "act", "right", "wrong", "wait"), ("bg", "sheet")),
    ("on-act", "act"),
    ("fg", "act-bg"),
    *((tone, f"{tone}-bg") for tone in ("act", "right", "wrong", "wait")),
]


def palette(sheets: list[str], scheme: str) -> dict[str, str]:
    """The custom properties of these style sheets in one scheme; later ones win."""
    found: dict[str, str] = {}
    for sheet in sheets:
        path = finders.find(sheet)
        assert path is not None
        if sheet.endswith("dark_mode.css") and scheme == "light":
            continue
        with open(path) as file:
            for rule in _RULE.finditer(file.read()):
                both = _BOTH.fullmatch(rule["value"])
                found[rule["name"]] = both[scheme] if both else rule["value"]
    return found


def colour(colours: dict[str, str], name: str) -> str:
    """Return the six hex digits; a property that refers to another one is resolved."""
    value = colours[name].strip()
    if other := re.fullmatch(r"var\(--([a-z-]+)\)", value):
        return colour(colours, other[1])
    sign, digits = value[0], value[1:]
    assert sign == "#", f"--{name} is {value}"
    return digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)


def luminance(digits: str) -> float:
    """Relative luminance, as defined by WCAG 2."""
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lower, higher = sorted((luminance(one), luminance(other)))
    return (higher + 0.05) / (lower + 0.05)


def test_contrast_is_what_wcag_says():
    assert contrast("000000", "ffffff") == pytest.approx(21)
    assert contrast("777777", "ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("sheets", "pairs"), [(ADMIN, ADMIN_PAIRS), (["memora/preview.css"], PREVIEW_PAIRS)]
)
def test_every_text_can_be_read_on_its_ground(sheets, pairs, scheme):
    colours = palette(sheets, scheme)
    found = {
        f"{text} on {ground}": contrast(colour(colours, text), colour(colours, ground))
        for text, ground in pairs
    }
    assert {pair: round(ratio, 2) for pair, ratio in found.items() if ratio < AA} == {}
