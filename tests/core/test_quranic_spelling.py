"""Words of the Quran's spelling are found as they are written today."""

import pytest

from core.folding import fold, searchable


@pytest.mark.parametrize(
    ("quranic", "typed"),
    [
        ("ٱلۡعَٰلَمِينَ", "العالمين"),
        ("ٱلرَّحۡمَٰنِ", "الرحمن"),
        ("ٱلصَّلَوٰةَ", "الصلاة"),
        ("ٱلسَّمَٰوَٰتِ", "السماوات"),
        ("ٱلۡقُرۡءَانُ", "القرآن"),
        ("ءَامَنُواْ", "آمنوا"),
        ("إِبۡرَٰهِـۧمَ", "إبراهيم"),
        ("ٱلنَّبِيِّـۧنَ", "النبيين"),
        ("إِسۡرَٰٓءِيلَ", "إسرائيل"),
        ("شَيۡـٔٗا", "شيئا"),
        ("يَسۡـَٔلُونَكَ", "يسألونك"),
        ("مَسۡـُٔولٗا", "مسؤولا"),
        ("ٱلسَّيِّـَٔاتِ", "السيئات"),
        ("مَـَٔابٗا", "مآبا"),
        ("إِۦلَٰفِهِمۡ", "إيلافهم"),
        ("ذَٰلِكَ", "ذلك"),
        ("ٱلتَّوۡرَىٰةَ", "التوراة"),
        ("مُوسَىٰ", "موسى"),
        ("ٱلرِّبَوٰاْ", "الربا"),
        ("يُحۡيِۦ", "يحيي"),
        ("ٱلَّيۡلِ", "الليل"),
    ],
)
def test_a_word_of_the_quran_is_found_as_it_is_written_today(quranic, typed):
    assert fold(typed) in searchable(quranic).split()


def test_a_word_of_the_quran_is_found_as_it_is_copied_from_there():
    word = "ٱلۡعَٰلَمِينَ"
    assert fold(word) in searchable(word).split()


def test_a_text_of_today_is_only_folded():
    text = "قرأ أحمد الدرس، ثم سأل عن السماء"
    assert searchable(text) == fold(text)
