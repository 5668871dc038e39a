from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgan.attributes.vocabulary import CELEBA, Vocabulary
from cfgan.errors import VocabularyError


@given(st.sampled_from(CELEBA.names), st.sampled_from(["_", " ", "-", ""]), st.booleans())
def test_any_spelling_finds_its_name(name: str, separator: str, upper: bool) -> None:
    spelled = name.replace("_", separator)
    assert CELEBA.canonical(spelled.upper() if upper else spelled.lower()) == name


@given(st.text(max_size=30))
def test_unknown_names_never_crash(text: str) -> None:
    try:
        assert CELEBA.canonical(text) in CELEBA.names
    except VocabularyError as error:
        assert error.value == text


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(VocabularyError, match="Did you mean Eyeglasses") as caught:
        CELEBA.index("Eyeglases")
    assert caught.value.nearest == ("Eyeglasses",)
    for word, ask in (
        ("hat", "Wearing_Hat"),
        ("Female", "-Male"),
        ("beard", "-No_Beard"),
        ("no glasses", "-Eyeglasses"),
    ):
        with pytest.raises(VocabularyError) as caught:
            CELEBA.index(word)
        assert caught.value.nearest == (ask,)


def test_celeba_is_whole() -> None:
    assert len(CELEBA) == 40 and CELEBA.names[0] == "5_o_Clock_Shadow" and CELEBA.names[39] == "Young"
    grouped = [name for names in CELEBA.grouped().values() for name in names]
    assert sorted(grouped) == sorted(CELEBA.names)


def test_round_trip_and_digest(vocabulary: Vocabulary) -> None:
    again = Vocabulary.from_dict(vocabulary.to_dict())
    assert again == vocabulary and again.digest == vocabulary.digest
    assert vocabulary.digest != Vocabulary(tuple(reversed(vocabulary.names))).digest


@pytest.mark.parametrize("names", [(), ("A b", "a_B"), ("../x",), ("a\0",), ("x" * 65,)])
def test_bad_vocabularies_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary(names)


def test_groups_must_name_attributes() -> None:
    with pytest.raises(VocabularyError, match="Dragon"):
        Vocabulary(("Cat",), exclusive=(frozenset({"Dragon"}),))
    with pytest.raises(VocabularyError):
        Vocabulary.from_dict({"nothing": 1})
