"""The part of a text where words were found, with the words marked."""

from core.excerpts import Part, excerpt


def marked(parts):
    return [part.text for part in parts if part.is_match]


def test_the_words_are_marked_in_their_context():
    assert excerpt("A fraction has a denominator.", ["denominator"]) == [
        Part("A fraction has a ", False),
        Part("denominator", True),
        Part(".", False),
    ]


def test_a_word_is_marked_as_it_is_spelled_in_the_text():
    assert marked(excerpt("معنى الْكُسُورِ في الرياضيات", ["الكسور"])) == ["الْكُسُورِ"]


def test_a_word_of_the_quran_is_marked_as_a_whole():
    assert marked(excerpt("رَبِّ ٱلۡعَٰلَمِينَ", ["العالمين"])) == ["ٱلۡعَٰلَمِينَ"]


def test_a_letter_that_folds_to_two_is_marked_once():
    assert marked(excerpt("die Straße hier", ["strasse"])) == ["Straße"]


def test_what_was_left_out_is_an_ellipsis():
    text = f"{'before ' * 50}needle{' after' * 50}"
    parts = excerpt(text, ["needle"], width=60)
    assert (parts[0].text, parts[-1].text) == ("…", "…")
    assert sum(len(part.text) for part in parts) < 70


def test_a_text_without_the_words_has_no_excerpt():
    assert excerpt("nothing here", ["needle"]) == []


def test_words_side_by_side_are_one_match():
    assert marked(excerpt("abcdef", ["abc", "cde"])) == ["abcde"]
