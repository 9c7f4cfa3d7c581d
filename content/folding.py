"""How texts are compared when somebody searches. Plain rules: no Django here."""

import unicodedata

_UNIFIED = str.maketrans(
    {
        "\u0640": None,  # tatweel
        "\u0671": "\u0627",  # alef wasla -> alef
        "\u0649": "\u064a",  # alef maqsura -> yaa
        "\u0629": "\u0647",  # taa marbuta -> haa
        # The digits of Arabic and of Persian and Urdu -> 0 to 9.
        **{chr(0x0660 + digit): str(digit) for digit in range(10)},
        **{chr(0x06F0 + digit): str(digit) for digit in range(10)},
        # Marks nobody sees, which pasted text brings along: joiners, directions, BOM.
        **dict.fromkeys(
            "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
            "\u2066\u2067\u2068\u2069\ufeff"
        ),
    }
)


def fold(text: str) -> str:
    """``text`` as it is compared: without case, accents, tashkeel and tatweel.

    Alef with hamza or madda becomes alef, alef maqsura yaa, taa marbuta haa, digits 0
    to 9; invisible marks go; runs of white space become one space. Folding twice
    changes nothing.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed)
    bare = "".join([char for char in decomposed if not unicodedata.combining(char)])
    return " ".join(bare.translate(_UNIFIED).split())
