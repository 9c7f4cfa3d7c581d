"""The canonical form of e-mail addresses and passwords. Plain rules: no Django here.

Two spellings of one address name one account; two Unicode forms of one password are
one password. Everything that stores, looks up, counts or compares either uses these
functions, so that no database collation decides.
"""

import unicodedata

PASSWORD_MAX_LENGTH = 1000
"""Characters. Longer ones are refused before they cost normalising or hashing."""
_EMAIL_MAX_LENGTH = 1000
"""Typed characters, invisible ones included; an address itself has 254."""

# Default_Ignorable_Code_Point without the format characters (Cf), which go anyway:
# grapheme joiner, Hangul fillers, Khmer inherent vowels, variation selectors.
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


def canonical_email(text: str) -> str:
    """The one spelling of an address: NFKC, case-folded, without invisible characters.

    White space around it, bidi controls, zero-width and other format characters go.
    Accents stay: another letter is another account. Applying it twice changes nothing.

    Returns:
        "" for a text of more than 1,000 characters; whether the result is an address
        is `is_plausible_email`'s and the field's to say.
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
    """Whether a canonical address has letters and signs only.

    White space, control characters, private-use and unassigned code points and
    surrogates mean nothing in an address.
    """
    return not any(unicodedata.category(char)[0] in "CZ" for char in canonical)


def canonical_password(text: str) -> str:
    """The form of a password that is hashed: NFKC.

    NIST SP 800-63B asks for NFKC or NFKD before hashing; NFKC is what browsers and
    Django's user names use. One of more than 1,000 characters stays as it is.
    """
    if len(text) > PASSWORD_MAX_LENGTH or text.isascii():
        return text
    return unicodedata.normalize("NFKC", text)


def password_forms(text: str) -> tuple[str, ...]:
    """The forms to try: the canonical one; then, where it differs, the typed one.

    Hashes made before passwords were normalised are of the typed form.
    """
    canonical = canonical_password(text)
    return (canonical,) if canonical == text else (canonical, text)


def has_only_assigned_characters(text: str) -> bool:
    """Whether every character has a meaning in this version of Unicode.

    Only their normal form never changes (Unicode Standard Annex 15, 12.1), as NIST
    SP 800-63B presupposes.
    """
    return all(unicodedata.category(char) not in ("Cn", "Cs") for char in text)
