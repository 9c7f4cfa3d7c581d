"""The canonical form of e-mail addresses, passwords and numbers. No Django imports.

Two spellings of one address identify one account; two Unicode forms of one password are
one password. All code that stores, looks up, counts or compares either uses these
functions, so the result does not depend on a database collation.
"""

import re
import unicodedata

PASSWORD_MAX_LENGTH = 1000
"""Characters. Longer passwords are refused before they are normalised or hashed."""
_EMAIL_MAX_LENGTH = 1000
"""Characters of the raw input, invisible ones included. An address has at most 254."""

# Default_Ignorable_Code_Point without format characters (Cf), which `_visible` removes
# by category: grapheme joiner, Hangul fillers, Khmer inherent vowels, variation
# selectors.
_IGNORABLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
)

_PHONE_PUNCTUATION = re.compile(r"[\s().\-\u2010-\u2015/]")


def canonical_email(text: str) -> str:
    """Return the canonical address: NFKC, case-folded, without invisible characters.

    Surrounding white space, bidi controls, zero-width and other format characters are
    removed. Accents stay, because another letter is another account. The function is
    idempotent.

    Returns:
        "" for a text of more than 1,000 characters. Whether the result is a valid
        address is checked by `is_plausible_email` and the field.
    """
    if len(text) > _EMAIL_MAX_LENGTH:
        return ""
    if not text.isascii():
        text = _visible(unicodedata.normalize("NFKC", text))
        text = _visible(unicodedata.normalize("NFKC", text.casefold()))
    return text.casefold().strip()


def _visible(text: str) -> str:
    return "".join(
        char
        for char in text
        if char not in _IGNORABLE and unicodedata.category(char) != "Cf"
    )


def is_plausible_email(canonical: str) -> bool:
    """Return whether a canonical address has only letters, digits, marks and symbols.

    White space, control characters, private-use and unassigned code points and
    surrogates have no meaning in an address.
    """
    return not any(unicodedata.category(char)[0] in "CZ" for char in canonical)


def canonical_password(text: str) -> str:
    """Return the form of a password that is hashed: NFKC.

    NIST SP 800-63B requires NFKC or NFKD before hashing; browsers and Django's user
    names use NFKC. A password of more than 1,000 characters is returned unchanged.
    """
    if len(text) > PASSWORD_MAX_LENGTH or text.isascii():
        return text
    return unicodedata.normalize("NFKC", text)


def password_forms(text: str) -> tuple[str, ...]:
    """Return the forms to check: the canonical one, then the raw one if it differs.

    Hashes made before passwords were normalised are of the raw form.
    """
    canonical = canonical_password(text)
    return (canonical,) if canonical == text else (canonical, text)


def has_only_assigned_characters(text: str) -> bool:
    """Return whether every character is assigned in this version of Unicode.

    Only the normal form of assigned characters never changes (Unicode Standard
    Annex 15, 12.1), which NIST SP 800-63B relies on.
    """
    return all(unicodedata.category(char) not in ("Cn", "Cs") for char in text)


def canonical_phone(text: str) -> str:
    """Return a phone number as its digits, 0 to 9, with a leading ``+`` if it has one.

    Digits of other scripts become 0 to 9; spaces, hyphens, brackets, dots and slashes
    between them are removed. Other characters stay, for a validator to refuse.
    """
    return _PHONE_PUNCTUATION.sub("", canonical_number(text))


def canonical_number(text: str) -> str:
    """Return a school's number of a student in NFKC, without invisible characters.

    Digits of other scripts become 0 to 9, because staff type either.
    """
    visible = _visible(unicodedata.normalize("NFKC", text)).strip()
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() else char for char in visible
    )
