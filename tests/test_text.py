"""Characters as tokens, texts cut into parts, and what is drawn from scores."""

import os
import pydoc_data.topics

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.text import Vocabulary, probabilities, sample, split_text, vocabulary

#: Letters, a combining accent, an emoji of three code points, Chinese, a character beyond 16 bits.
UNICODE = "a\u0301ä\n👩\u200d🚀漢字\U0001f600 a"


# ---- vocabulary ----


@pytest.mark.parametrize("text", ["to be or not to be", UNICODE, "x", "\ud800 alone", "\0\t\r\n"])
def test_tokens_are_the_places_of_characters_and_back(text):
    found = Vocabulary.from_text(text)
    assert found.characters == "".join(sorted(set(text)))
    assert len(found) == len(set(text))
    tokens = found.encode(text)
    assert tokens.tolist() == [sorted(set(text)).index(character) for character in text]
    assert found.decode(tokens) == text
    assert found.decode(tokens.tolist()) == text
    assert all(character in found for character in text)
    assert "q" not in found
    assert "be" not in found
    assert 3 not in found


def test_a_code_point_is_a_character():
    assert len(Vocabulary.from_text("a\u0301")) == 2
    assert len(Vocabulary.from_text("á")) == 1


@pytest.mark.parametrize(
    ("count", "dtype"), [(2, "uint8"), (255, "uint8"), (256, "uint16"), (70_000, "uint32")]
)
def test_tokens_are_as_small_as_they_may_be(count, dtype):
    text = "".join(chr(32 + i + 2048 * (32 + i >= 0xD800)) for i in range(count))
    found = Vocabulary(text)
    tokens = found.encode(text)
    assert tokens.dtype == dtype
    assert tokens.tolist() == list(range(count))
    with pytest.raises(ValueError, match=r"got '\\x01' at 1;"):
        found.encode(" \x01")


@pytest.mark.parametrize("character", ["b", "\0", "\U0010ffff"])
def test_unknown_characters(character):
    text = f"aca{character}c"
    with pytest.raises(ValueError, match=r"text: expected characters of the vocabulary, got .* 3;"):
        Vocabulary("ac").encode(text)
    found = Vocabulary("ac", unknown="?")
    assert found.characters == "?ac"
    assert found.decode(found.encode(text)) == "aca?c"
    known = Vocabulary("ac", unknown="a")  # one that has a token
    assert known.decode(known.encode(text)) == "acaac"


def test_the_place_of_an_unknown_character_counts_from_the_beginning(monkeypatch):
    monkeypatch.setattr(vocabulary, "_PIECE", 4)
    with pytest.raises(ValueError, match=r"got 'b' at 9;"):
        Vocabulary("a").encode("aaaaaaaaab")


def test_rare_characters_are_unknown():
    found = Vocabulary.from_text("aaabbc", min_count=2, unknown="\ufffd")
    assert found.characters == "ab\ufffd"
    assert found.decode(found.encode("abc")) == "ab\ufffd"


@pytest.mark.parametrize("piece", [1, 3, 1 << 18])
def test_files_are_read_in_pieces(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(vocabulary, "_PIECE", piece)
    path = tmp_path / "text"
    for data in (UNICODE.encode(), b"\xef\xbb\xbf" + UNICODE.encode()):
        path.write_bytes(data.replace(b"\n", b"\r\n"))
        found = Vocabulary.from_text(path)
        assert found == Vocabulary.from_text(UNICODE)
        assert found.decode(found.encode(path)) == UNICODE
    path.write_bytes("é".encode("latin-1"))
    assert Vocabulary.from_text(path, encoding="latin-1").characters == "é"
    with pytest.raises(UnicodeDecodeError):
        Vocabulary.from_text(path)
    with pytest.raises(FileNotFoundError):
        Vocabulary.from_text(tmp_path / "none")


def test_equality_and_repr():
    a, b = Vocabulary("ab"), Vocabulary("ba")
    assert a == b
    assert hash(a) == hash(b)
    assert a not in (Vocabulary("ab", unknown="b"), Vocabulary("abc"), "ab")
    assert repr(Vocabulary("ab", unknown="b")) == "Vocabulary(2 characters, 'b' for unknown ones)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Vocabulary(["a"]), "characters: expected a str, got list"),
        (lambda: Vocabulary("aba"), "characters: expected each once, got 'a' again"),
        (lambda: Vocabulary(""), "characters: expected at least one, got none"),
        (lambda: Vocabulary("a", unknown="bc"), "unknown: expected one character or None"),
        (lambda: Vocabulary("a", unknown=3), "unknown: expected one character or None, got 3"),
        (lambda: Vocabulary.from_text(""), "text: expected at least one character, got none"),
        (lambda: Vocabulary.from_text(b"bytes"), "text: expected a str or a path, got bytes"),
        (lambda: Vocabulary.from_text("a", min_count=0), "min_count: expected at least 1"),
        (lambda: Vocabulary.from_text("a", min_count=2), "unknown: expected a character with"),
        (lambda: Vocabulary("ab").decode([0, 2]), "tokens: expected 0..1, got 2"),
        (lambda: Vocabulary("ab").decode([-1]), "tokens: expected 0..1, got -1"),
        (lambda: Vocabulary("ab").decode([[0]]), r"tokens: expected shape \(T,\), got \(1, 1\)"),
        (lambda: Vocabulary("ab").decode([0.5]), "tokens: expected integers, got float64"),
    ],
)
def test_bad_vocabularies(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_empty_texts_have_no_tokens():
    found = Vocabulary("ab")
    assert found.encode("").dtype == np.uint8
    assert found.encode("").size == 0
    assert found.decode([]) == ""


def test_a_real_text():
    text = "\n".join(pydoc_data.topics.topics.values())
    found = Vocabulary.from_text(text)
    tokens = found.encode(text)
    assert tokens.nbytes == len(text) > 300_000
    assert found.decode(tokens) == text


# ---- parts of texts ----


@pytest.mark.parametrize(
    ("count", "shares", "sizes"),
    [
        (5_057_198, (0.9, 0.05, 0.05), [4_551_478, 252_860, 252_860]),
        (10, (0.9, 0.05, 0.05), [9, 0, 1]),
        (10, (0.1,) * 10, [1] * 10),
        (10, (0.3, 0.7), [3, 7]),
        (0, (0.5, 0.5), [0, 0]),
        (7, (1.0,), [7]),
    ],
)
def test_parts_follow_each_other(count, shares, sizes):
    text = "abcdefghij" * (-(-count // 10))
    parts = split_text(text[:count], shares)
    assert [len(part) for part in parts] == sizes
    assert "".join(parts) == text[:count]


def test_parts_of_a_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(UNICODE * 10, encoding="utf-8")
    assert split_text(path) == split_text(UNICODE * 10)
    assert split_text(os.fspath(path)) != split_text(UNICODE * 10)  # a string is text


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.5, -0.5), (0.0, 1.0), ("a",), (np.nan,)])
def test_bad_shares(shares):
    with pytest.raises((TypeError, ValueError), match="shares"):
        split_text("text", shares)


# ---- sampling ----

SCORES = np.array([[0.5, -1.0, 2.0, 2.0, -np.inf], [3.0, 1.0, 0.0, -2.0, 1.0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [None, 1, 2, 3, 5, 99])
def test_probabilities_by_hand(dtype, temperature, top_k):
    scores = SCORES.astype(dtype)
    found = probabilities(scores, temperature=temperature, top_k=top_k)
    assert found.dtype == np.float64
    for row, given in zip(found, SCORES, strict=True):
        kept = sorted(range(5), key=lambda i: (-given[i], i))[: top_k or 5]
        weights = [np.exp(given[i] / temperature) if i in kept else 0.0 for i in range(5)]
        np.testing.assert_allclose(row, np.array(weights) / sum(weights), rtol=1e-14)
    assert (scores == SCORES.astype(dtype)).all()


def test_temperatures_at_their_ends():
    for temperature in (0.0, 5e-324, 1e-300, 1e-4):
        found = probabilities(SCORES[1:], temperature=temperature)
        assert found.tolist() == [[1, 0, 0, 0, 0]]
    first = probabilities(SCORES[0], temperature=0.0)
    assert first.tolist() == [0, 0, 1, 0, 0]  # the first of two equal ones
    np.testing.assert_allclose(probabilities(SCORES[0], temperature=1e300), [0.25] * 4 + [0])
    assert probabilities(np.array([1e300, -1e300]), temperature=1e-300).tolist() == [1, 0]
    huge = np.array([3e38, 3e38, -3e38], np.float32)
    assert probabilities(huge).tolist() == [0.5, 0.5, 0.0]


def test_samples_have_the_probabilities():
    rng = np.random.default_rng(0)
    expected = probabilities(SCORES, temperature=1.5)
    drawn = sample(np.broadcast_to(SCORES, (40_000, 2, 5)), rng, temperature=1.5)
    assert drawn.shape == (40_000, 2)
    for column, p in zip(drawn.T, expected, strict=True):
        share = np.bincount(column, minlength=5) / 40_000
        assert (abs(share - p) <= 5 * np.sqrt(p * (1 - p) / 40_000)).all()
    assert not (drawn[:, 0] == 4).any()


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1.0, 0.0)])
def test_the_ends_of_the_unit_interval_draw_possible_classes(uniform):
    class Constant:
        def random(self, shape):
            return np.full(shape, uniform)

    scores = np.array([-np.inf, 0.3, 0.1, -np.inf, 0.2, -np.inf])
    assert sample(scores, Constant()) == (1 if uniform == 0.0 else 4)


def test_a_draw_takes_one_number_of_the_generator():
    for options in ({}, {"temperature": 0.0}, {"top_k": 1}):
        rng, other = np.random.default_rng(3), np.random.default_rng(3)
        sample(SCORES, rng, **options)
        other.random(2)
        assert rng.random() == other.random()


def test_the_likeliest_only():
    rng = np.random.default_rng(0)
    many = np.broadcast_to(SCORES, (200, 2, 5))
    for options in ({"temperature": 0.0}, {"temperature": 1e-9, "top_k": 3}, {"top_k": 1}):
        assert (sample(many, rng, **options)[:, 1] == 0).all()
    assert set(sample(many, rng, top_k=2)[:, 0].tolist()) == {2, 3}


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (SCORES, {"temperature": -0.1}, "temperature: expected a finite number of at least 0"),
        (SCORES, {"temperature": np.inf}, "temperature: expected a finite number"),
        (SCORES, {"temperature": np.nan}, "temperature: expected a finite number"),
        (SCORES, {"temperature": "hot"}, "temperature: expected a number, got str"),
        (SCORES, {"top_k": 0}, "top_k: expected at least 1"),
        (SCORES, {"top_k": 1.5}, "top_k: expected an integer"),
        (np.array([1, 2]), {}, "scores: expected floats, got int64"),
        (np.array(1.0), {}, r"scores: expected shape \(..., C\)"),
        (np.zeros((2, 0)), {}, r"scores: expected shape \(..., C\)"),
        (np.array([0.0, np.nan]), {}, "scores: expected a finite largest score, got nan"),
        (np.array([0.0, np.inf]), {}, "scores: expected a finite largest score, got inf"),
        (np.array([-np.inf, -np.inf]), {}, "scores: expected a finite largest score, got -inf"),
    ],
)
def test_bad_scores(scores, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sample(scores, np.random.default_rng(0), **options)


def test_its_names_are_public():
    assert fr.text.Vocabulary is Vocabulary
