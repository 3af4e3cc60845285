"""Character models: they learn, are measured by hand, write on, and come back from files."""

import itertools
import json
import math
import pydoc_data.topics
from pathlib import Path

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.serialization import load_with_metadata
from fastrnn.testing import assert_same_bits

TEXT = "the quick brown fox jumps over the lazy dog. " * 40
QUICK = {"epochs": 20, "batch_size": 4, "steps": 16, "learning_rate": 2e-2, "progress": False}


@pytest.fixture
def copied(tmp_path):
    """Return what saves a model and loads it again."""

    def copy(model):
        model.save(tmp_path / "copy.safetensors")
        return fr.CharLM.load(tmp_path / "copy.safetensors")

    return copy


@pytest.fixture(scope="module")
def fitted():
    model = fr.CharLM(32, seed=0)
    model.fit(TEXT, **QUICK)
    return model


def by_hand(model, text, before=""):
    """Return the mean of -log2 p over text[1:], one character at a time, in plain NumPy."""
    weights = {name: value.astype(np.float64) for name, value in model.model.parameters.items()}
    h = c = np.zeros(model.hidden_size)
    bits = []
    for character, following in itertools.pairwise(text):
        x = weights["0.weight"][model.vocabulary.characters.index(character)]
        gates = (
            weights["1.weight_ih_l0"] @ x
            + weights["1.bias_ih_l0"]
            + weights["1.weight_hh_l0"] @ h
            + weights["1.bias_hh_l0"]
        )
        i, f, g, o = gates.reshape(4, -1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        scores = weights["2.weight"] @ h + weights["2.bias"]
        p = np.exp(scores) / np.exp(scores).sum()
        bits.append(-math.log2(p[model.vocabulary.characters.index(following)]))
    return float(np.mean(bits))


# ---- bits per character ----


def test_bits_per_character_by_hand(fitted):
    text = TEXT[3:200] + "zzz qqq" + TEXT[7:310]
    expected = by_hand(fitted, text)
    assert fitted.bits_per_character(text, parts=1) == pytest.approx(expected, rel=1e-5)
    assert fitted.bits_per_character("th") == pytest.approx(by_hand(fitted, "th"), rel=1e-5)


@pytest.mark.parametrize("length", [2, 3, 511, 512, 513, 1025, 1300])
def test_parts_count_every_character_once(fitted, length):
    # The context covers what the first parts have not read; behind 256 characters the state is
    # another only by what is older.
    text = (TEXT[:100] + "zq") * 20
    exact = fitted.bits_per_character(text[:length], parts=1)
    for parts in (2, 3, 7, 30):
        assert fitted.bits_per_character(text[:length], parts=parts) == pytest.approx(
            exact, rel=1e-3
        )
    whole = fitted.bits_per_character(text * 2)  # in several parts without being told
    assert whole == pytest.approx(fitted.bits_per_character(text * 2, parts=1), rel=1e-3)


def test_an_untrained_model_knows_nothing(fitted, copied):
    fitted = copied(fitted)
    fitted.model.parameter_vector[...] = 0.0
    expected = math.log2(len(fitted.vocabulary))
    assert fitted.bits_per_character(TEXT) == pytest.approx(expected, rel=1e-6)


# ---- learning ----


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm"},
        {"cell": "gru", "num_layers": 2, "dropout": 0.1},
        {"cell": "rnn"},
        {"tied_embeddings": True},
        {"tied_embeddings": True, "embedding_size": 20, "dropout": 0.1, "proj_size": 24},
        {"hidden_size": [24, 40], "layer_norm": True, "initializer": {"weight_hh": "orthogonal"}},
    ],
    ids=str,
)
def test_it_learns_and_comes_back_from_a_file(options, tmp_path):
    model = fr.CharLM(**{"hidden_size": 32, "seed": 0} | options)
    history = model.fit(TEXT, 0.1, **QUICK)
    assert history.epochs[-1].loss < 0.3 * history.epochs[0].loss
    assert model.bits_per_character(TEXT[-400:]) < 0.5
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = fr.CharLM.load(path)
    assert loaded.model.config() == model.model.config()
    assert_same_bits(loaded.model.parameter_vector, model.model.parameter_vector, "parameters")
    assert loaded.vocabulary == model.vocabulary
    assert repr(loaded) == repr(model)
    one, other = ("".join(m.generate("the ", 30, seed=1)) for m in (model, loaded))
    assert one == other
    again = tmp_path / "again.safetensors"
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    for name in ("hidden_size", "num_layers", "cell", "embedding_size", "dropout", "seed"):
        assert getattr(loaded, name) == getattr(model, name)
    history = loaded.fit(TEXT, **QUICK | {"epochs": 1})  # with the same settings and vocabulary
    assert loaded.model.config() == model.model.config()
    assert history.epochs[0].loss > 1.0  # anew


def test_a_real_text_gets_below_what_its_letters_need():
    text = "\n".join(pydoc_data.topics.topics.values())[:80_000]
    model = fr.CharLM(48, seed=0)
    history = model.fit(text, 0.05, epochs=2, batch_size=16, steps=32, progress=False)
    counts = np.bincount(model.vocabulary.encode(text)).astype(float)
    shares = counts[counts > 0] / counts.sum()
    entropy = -(shares * np.log2(shares)).sum()
    held_out = text[round(len(text) * 0.95) :]
    assert model.bits_per_character(held_out) < 0.85 * entropy
    # The loss on the validation text is the same number in nats, but for the context of parts.
    best = min(history.values("validation_loss")) / math.log(2)
    assert model.bits_per_character(held_out) == pytest.approx(best, rel=0.03)


def test_the_same_seed_gives_the_same_bits():
    vectors = []
    for seed in (0, 0, 1):
        model = fr.CharLM(16, dropout=0.2, seed=seed)
        model.fit(TEXT, **QUICK | {"epochs": 2})
        vectors.append(model.model.parameter_vector.copy())
    assert_same_bits(vectors[0], vectors[1], "parameters")
    assert (vectors[0] != vectors[2]).any()


def test_the_best_epoch_is_kept():
    model = fr.CharLM(32, seed=0)
    other = "jumps over the dog the lazy brown quick fox. "
    history = model.fit(TEXT, other * 4, **QUICK)
    losses = history.values("validation_loss")
    assert history.best_epoch == int(np.argmin(losses)) < len(losses) - 1
    streams = fr.data.ParallelStreams(*_pairs(model, other * 4), 1, 256)
    found = fr.Trainer(model.model).evaluate(streams).loss
    assert found == pytest.approx(min(losses), rel=1e-6)


def _pairs(model, text):
    tokens = model.vocabulary.encode(text)
    return tokens[:-1], tokens[1:]


def test_texts_from_files(tmp_path):
    path, held_out = tmp_path / "text.txt", tmp_path / "other.txt"
    path.write_bytes(TEXT.encode())
    held_out.write_bytes(TEXT[:300].encode())
    models = [fr.CharLM(16, seed=0) for _ in range(2)]
    models[0].fit(path, held_out, **QUICK | {"epochs": 2})
    models[1].fit(TEXT, TEXT[:300], **QUICK | {"epochs": 2})
    assert_same_bits(*(m.model.parameter_vector for m in models), "parameters")
    assert models[0].bits_per_character(path) == models[1].bits_per_character(TEXT)


def test_callbacks_are_called_and_may_end_training():
    seen = []

    def stop(history):
        seen.append(len(history.epochs))
        return len(seen) == 3

    history = fr.CharLM(8, seed=0).fit(TEXT, **QUICK, callbacks=[stop])
    assert seen == [1, 2, 3]
    assert history.stopped_early


def test_unknown_characters(fitted):
    with pytest.raises(ValueError, match=r"text: expected characters .* got 'é' at 2;"):
        fitted.bits_per_character("caé")
    with pytest.raises(ValueError, match=r"text: expected characters .* got 'T' at 0;"):
        next(fitted.generate("The", 3))
    vocabulary = fr.text.Vocabulary.from_text(TEXT, min_count=41, unknown="\ufffd")
    assert "z" not in vocabulary
    model = fr.CharLM(16, vocabulary=vocabulary, seed=0)
    model.fit(TEXT, **QUICK)
    assert model.bits_per_character("the Lazy dog") < 10
    assert "".join(model.generate("the la", 3, temperature=0.0)) == "\ufffd\ufffd "[:3]


def test_any_unicode(copied):
    line = "a\u0301 👩\u200d🚀 漢字 \U0001f600\n"
    model = fr.CharLM(32, seed=0)
    model.fit(line * 60, **QUICK)
    assert "".join(model.generate("\n", len(line), temperature=0.0)) == line
    assert copied(model).vocabulary == model.vocabulary


# ---- writing on ----


def test_generation_is_greedy_where_the_temperature_is_zero(fitted):
    assert "".join(fitted.generate("the lazy dog. the qu", 25, temperature=0.0)) == (
        "ick brown fox jumps over "
    )
    one = "".join(fitted.generate("fox", 20, top_k=1, seed=3))
    assert one == "".join(fitted.generate("fox", 20, temperature=0.0))


def test_generation_by_hand(fitted):
    """As the whole-sequence model says, character by character, with the draws of sample."""
    rng = np.random.default_rng(5)
    text = "jumps"
    for _ in range(20):
        scores, _ = fitted.model(fitted.vocabulary.encode(text)[None])
        token = fr.text.sample(scores[0, -1], rng, temperature=1.5, top_k=4)
        text += fitted.vocabulary.characters[int(token)]
    found = fitted.generate("jumps", 20, temperature=1.5, top_k=4, seed=5)
    assert "jumps" + "".join(found) == text


def test_generation_does_not_depend_on_how_it_is_taken(fitted):
    whole = "".join(fitted.generate("the", 40, temperature=2.0, seed=7))
    assert whole != "".join(fitted.generate("the", 40, temperature=2.0, seed=8))
    stream = fitted.generate("the", 40, temperature=2.0, seed=7)
    other = fitted.generate("fox", 40, temperature=2.0, seed=9)  # at the same time
    taken = []
    while piece := list(itertools.islice(stream, 3)):
        taken += piece
        next(other)
    assert "".join(taken) == whole
    assert "".join(fitted.generate("the", 11, temperature=2.0, seed=7)) == whole[:11]


def test_characters_come_one_by_one(fitted, monkeypatch):
    steps = []
    step = fr.Stream.step

    def counted(self, x, out=None):
        steps.append(len(x))
        return step(self, x, out)

    monkeypatch.setattr(fr.Stream, "step", counted)
    characters = fitted.generate("abc", 5, seed=0)
    assert steps == []
    assert len(next(characters)) == 1
    assert steps == [1] * 3  # the prompt
    next(characters)
    assert steps == [1] * 4
    assert len(list(characters)) == 3


def test_generation_keeps_the_weights_it_began_with(fitted, copied):
    model = copied(fitted)
    expected = "".join(model.generate("the", 30, seed=0))
    characters = model.generate("the", 30, seed=0)
    first = next(characters)
    model.model.parameter_vector[...] = 0.0
    assert first + "".join(characters) == expected


def test_the_page_of_docs_shows_what_runs(tmp_path, monkeypatch, capsys):
    page = Path(__file__).parent.parent / "docs" / "text.md"
    blocks = page.read_text(encoding="utf-8").split("```python\n")[1:]
    code = "\n".join(block.split("```")[0] for block in blocks)
    for shown, run in (("hidden_size=256", "hidden_size=8"), ("epochs=10", "epochs=1")):
        assert shown in code
        code = code.replace(shown, run)  # shown whole, run short
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("Once upon a time there was a lazy dog.\n" * 100)
    names = {}
    exec(compile(code, page.name, "exec"), names)
    assert isinstance(names["model"], fr.CharLM)
    assert len(capsys.readouterr().out.partition("\n")[2]) == 500


# ---- what is refused ----

BAD_MODELS = [
    ({"hidden_size": 0}, "hidden_size: expected at least 1"),
    ({"cell": "transformer"}, "cell: expected one of lstm, gru, rnn, got 'transformer'"),
    ({"embedding_size": 0}, "embedding_size: expected at least 1"),
    ({"dropout": 1.0}, "dropout: expected 0 <= dropout < 1"),
    ({"tied_embeddings": "yes"}, "tied_embeddings: expected True or False"),
    ({"vocabulary": "abc"}, "vocabulary: expected a Vocabulary or None, got str"),
    ({"seed": 0.5}, "seed: expected an integer or None, got float"),
    ({"bidirectional": True}, "bidirectional: expected False, got True"),
    ({"reverse": True}, "reverse: expected False, got True"),
    ({"batch_first": False}, "batch_first: expected True, got False"),
    ({"colour": "red"}, "colour"),
    ({"cell": "gru", "peepholes": True}, "peepholes"),
]


@pytest.mark.parametrize(("options", "message"), BAD_MODELS, ids=str)
def test_bad_models(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fr.CharLM(**options)


BAD_FITS = [
    (("",), {}, "text: expected at least one character, got none"),
    (("ab",), {"batch_size": 2}, "text: expected more than batch_size = 2 characters"),
    ((b"bytes",), {}, "text: expected a str or a path, got bytes"),
    ((TEXT, "a"), {}, "validation: expected at least 2 characters, got 1"),
    ((TEXT, 0.0), {}, "validation: expected 0 < share < 1, got 0.0"),
    ((TEXT, 1.5), {}, "validation: expected 0 < share < 1, got 1.5"),
    ((TEXT, True), {}, "validation: expected a number, got bool"),
    ((TEXT, "XYZ"), {}, "text: expected characters of the vocabulary, got 'X' at 0"),
    ((TEXT,), {"epochs": 0}, "epochs: expected at least 1"),
    ((TEXT,), {"max_seconds": 0}, "max_seconds: expected more than 0"),
    ((TEXT,), {"steps": 1.5}, "steps: expected an integer"),
    ((TEXT,), {"learning_rate": 0}, "learning_rate: expected more than 0"),
    ((TEXT,), {"warm_up": 0}, "warm_up: expected at least 1"),
    ((TEXT,), {"clip_norm": -1.0}, "clip_norm: expected more than 0"),
]


@pytest.mark.parametrize(("texts", "options", "message"), BAD_FITS, ids=repr)
def test_bad_fits_change_nothing(texts, options, message):
    model = fr.CharLM(8, seed=0)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(*texts, **QUICK | options)
    assert model.model is None
    assert model.vocabulary is None
    assert repr(model) == "CharLM(lstm, 1 x 8, not fitted)"


def test_names_of_files_are_no_texts(tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    message = r"expected text, or a path .*; pass pathlib.Path\('text.txt'\)"
    with pytest.raises(ValueError, match=f"^text: {message}"):
        fr.CharLM(8).fit("text.txt")
    with pytest.raises(ValueError, match=f"^validation: {message}"):
        fr.CharLM(8).fit(TEXT, "text.txt")


def test_use_before_fit():
    model = fr.CharLM(8)
    for call in (
        lambda: model.bits_per_character("abc"),
        lambda: model.generate("abc", 3),
        lambda: model.save("nowhere"),
    ):
        with pytest.raises(RuntimeError, match="expected a fitted model; call fit first"):
            call()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("", 3), {}, "prompt: expected at least one character, got none"),
        ((["the"], 3), {}, "prompt: expected a str, got list"),
        (("the", 0), {}, "length: expected at least 1"),
        (("the", 3), {"temperature": -1.0}, "temperature: expected a finite number"),
        (("the", 3), {"top_k": 0}, "top_k: expected at least 1"),
    ],
)
def test_bad_prompts_are_refused_at_once(fitted, arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fitted.generate(*arguments, **options)


def test_bad_measurements(fitted):
    for text, parts, message in (
        ("", None, "text: expected at least 2 characters, got 0"),
        ("a", None, "text: expected at least 2 characters, got 1"),
        ("the", 0, "parts: expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.bits_per_character(text, parts=parts)


def test_other_files_are_refused(fitted, tmp_path):
    path = tmp_path / "model.safetensors"
    fr.save(fr.GRU(3, 4), path)
    with pytest.raises(ValueError, match=r"model\.safetensors: expected a model written by CharLM"):
        fr.CharLM.load(path)
    fitted.save(path)
    model, metadata = load_with_metadata(path)
    about = json.loads(metadata["fastrnn_char_lm"])
    for change in (
        {"characters": "abc"},
        {"characters": 3},
        {"settings": about["settings"] | {"hidden_size": 8}},
        {"settings": {"hidden_size": 8, "colour": "red"}},
        {"options": {"proj_size": 4}},
        {"options": None},
        {"unknown": "xy"},
    ):
        fr.save(model, path, metadata={"fastrnn_char_lm": json.dumps(about | change)})
        with pytest.raises(ValueError, match=r"model\.safetensors: "):
            fr.CharLM.load(path)
    for broken in ("[]", "{}", "nothing"):
        fr.save(model, path, metadata={"fastrnn_char_lm": broken})
        with pytest.raises(ValueError, match=r"model\.safetensors: "):
            fr.CharLM.load(path)
