"""Encoder-decoders: gradients, bits, step by step against at once, scheduled sampling, training."""

import pickle

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.seq2seq import (
    EncoderDecoderInput,
    PairDataset,
    inverse_sigmoid_schedule,
    linear_schedule,
    mixed_inputs,
)
from fastrnn.testing import assert_near, assert_same_bits

RNG = np.random.default_rng(0)
SOURCES = [RNG.integers(3, 9, n) for n in (5, 1, 9, 0, 3)]
TARGETS = [RNG.integers(3, 7, n) for n in (2, 8, 0, 4, 3)]
BATCH = PairDataset(SOURCES, TARGETS).batch(range(5))
LOSS = fr.losses.SoftmaxCrossEntropy()
MODELS = {
    "lstm, general": {},
    "gru, dot, one direction, two layers": {
        "cell": "gru", "attention": "dot", "bidirectional": False, "num_layers": 2,
    },
    "rnn, none, two layers": {"cell": "rnn", "attention": "none", "num_layers": 2},
    "lstm, dot, two layers": {"attention": "dot", "num_layers": 2, "embedding_size": 3},
}  # fmt: skip


def model_of(name, size=4, **options):
    """Return a model of 9 source and 7 target tokens."""
    return fr.EncoderDecoder(9, 7, size, **({"seed": 1} | MODELS[name] | options))


def loss_of(model, batch=BATCH):
    """Return the loss of a pass with the same masks every time, and what `backward` needs."""
    model.reseed(np.random.default_rng(5))
    scores, state, tape = model.forward(batch.x, lengths=batch.lengths)
    assert state is None
    value, dscores = LOSS(scores, batch.y, batch.mask)
    return value, dscores, tape


@pytest.mark.parametrize(
    ("name", "dropout"), [*((name, 0.0) for name in MODELS), ("lstm, dot, two layers", 0.3)]
)
def test_gradients_are_central_differences(name, dropout):
    model = model_of(name, dtype="float64", dropout=dropout, embedding_size=2)
    _, dscores, tape = loss_of(model)
    assert model.backward(tape, dscores, input_gradient=False) == (None, None)
    vector, gradient = model.parameter_vector, model.gradient_vector.copy()
    numeric, step = np.empty_like(vector), 1e-5
    for i in range(vector.size):
        before = vector[i]
        sides = []
        for moved in (before + step, before - step):
            vector[i] = moved
            sides.append(loss_of(model)[0])
        vector[i] = before
        numeric[i] = (sides[0] - sides[1]) / (2 * step)
    assert_near(gradient, numeric, "gradient", "gradient")
    for part, values in model.gradients.items():
        assert np.abs(values).max() > 1e-6, part


def by_hand(model, source, inputs):
    """Return the scores of one row, by textbook loops over an LSTM with general attention."""
    p = {name: array.astype(np.float64) for name, array in model.parameters.items()}

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    def lstm(prefix, suffix, x, h, c):
        a = p[f"{prefix}.weight_ih{suffix}"] @ x + p[f"{prefix}.bias_ih{suffix}"]
        a += p[f"{prefix}.weight_hh{suffix}"] @ h + p[f"{prefix}.bias_hh{suffix}"]
        i, f, g, o = np.split(a, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    embedded = p["source_embedding.weight"][source]
    half = model.hidden_size // 2
    outputs, finals = [], []
    for suffix, order in (("_l0", 1), ("_l0_reverse", -1)):
        h = c = np.zeros(half)
        seen = []
        for x in embedded[::order]:
            h, c = lstm("encoder", suffix, x, h, c)
            seen.append(h)
        outputs.append(seen[::order])
        finals.append((h, c))
    memory = [np.concatenate(pair) for pair in zip(*outputs, strict=True)]
    h, c = (np.concatenate([finals[0][k], finals[1][k]]) for k in (0, 1))
    scores = []
    for x in p["target_embedding.weight"][inputs]:
        h, c = lstm("decoder", "_l0", x, h, c)
        context = np.zeros_like(h)
        if memory:
            dots = np.array([h @ p["score.weight"].T @ m for m in memory])
            shares = np.exp(dots) / np.exp(dots).sum()
            context = sum(share * m for share, m in zip(shares, memory, strict=True))
        attended = np.tanh(p["combine.weight"] @ np.concatenate([context, h]))
        scores.append(p["output.weight"] @ attended + p["output.bias"])
    return np.array(scores)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_are_those_of_textbook_loops(dtype):
    model = model_of("lstm, general", size=6, dtype=dtype)
    model.parameters["score.weight"][...] += np.arange(6) % 4 - 1  # not symmetric
    scores, _ = model(BATCH.x, lengths=BATCH.lengths)
    for n, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        expected = by_hand(model, source, [1, *target])
        assert_near(scores[n, : len(expected)], expected.astype(dtype), f"row {n}")
        assert not scores[n, len(expected) :].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_rows_have_the_same_bits_alone_and_step_by_step(name, dtype):
    model = model_of(name, size=20, dtype=dtype)
    scores, _ = model(BATCH.x, lengths=BATCH.lengths)
    trained, _, _ = model.forward(BATCH.x, lengths=BATCH.lengths)
    assert_same_bits(trained, scores, "forward")
    for n, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        row = PairDataset([source], [target]).batch([0])
        alone, _ = model(row.x)
        assert_same_bits(alone[0], scores[n, : len(target) + 1], "a row alone")
        memory, state = model.encode(row.x.source, row.x.source_lengths)
        for t, token in enumerate([1, *target]):
            one, state = model.step(np.array([[token]]), state, memory)
            assert_same_bits(one[0, 0], scores[n, t], "a step alone")


@pytest.mark.parametrize("name", MODELS)
def test_padding_is_not_read(name):
    model = model_of(name, size=8)

    def run(x, odd):
        scores, _, tape = model.forward(x, lengths=BATCH.lengths)
        _, dscores = LOSS(scores, BATCH.y, BATCH.mask)
        dscores[~BATCH.mask] = odd
        model.zero_grad()
        model.backward(tape, dscores)
        return scores, model.gradient_vector.copy()

    expected = run(BATCH.x, 0.0)
    source, inputs = BATCH.x.source.copy(), BATCH.x.inputs.copy()
    source[np.arange(source.shape[1]) >= BATCH.x.source_lengths[:, None]] = 10**6
    inputs[~BATCH.mask] = -7
    wide = np.concatenate([source, np.full((5, 13), -1)], axis=1)
    for odd_source in (source, wide):
        found = run(EncoderDecoderInput(odd_source, BATCH.x.source_lengths, inputs), np.nan)
        assert_same_bits(found[0], expected[0], "scores")
        assert_same_bits(found[1], expected[1], "gradients")


def test_writing_over_lengths_changes_nothing():
    model = model_of("lstm, general", size=8)
    vectors = []
    for overwrite in (False, True):
        lengths = BATCH.lengths.copy()
        scores, _, tape = model.forward(BATCH.x, lengths=lengths)
        if overwrite:
            lengths[...] = 1
        model.zero_grad()
        model.backward(tape, scores)
        vectors.append(model.gradient_vector.copy())
    assert_same_bits(vectors[1], vectors[0], "gradients")


def test_files_pickles_and_copies(tmp_path):
    name, options = "gru, dot, one direction, two layers", {"end_token": 5, "embedding_size": 3}
    model = model_of(name, dropout=0.25, **options)
    scores, _ = model(BATCH.x, lengths=BATCH.lengths)
    path = tmp_path / "model.safetensors"
    fr.save(model, path)
    for copy in (fr.load(path), pickle.loads(pickle.dumps(model))):
        assert copy.config() == model.config()
        assert (copy.end_token, copy.dropout, copy.num_layers) == (5, 0.25, 2)
        assert_same_bits(copy(BATCH.x, lengths=BATCH.lengths)[0], scores, "scores")
    double = model.to("float64")
    assert_near(double(BATCH.x, lengths=BATCH.lengths)[0], scores, "float64", "float32")
    half = model.to("bfloat16")
    assert half.config()["dtype"] == "bfloat16"
    error = np.abs(half(BATCH.x, lengths=BATCH.lengths)[0] - scores).max()
    assert 0 < error < 0.05


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("name", MODELS)
def test_scheduled_sampling_is_a_pass_step_by_step(name, share):
    model = model_of(name, size=8)
    x, lengths = BATCH.x, BATCH.lengths
    mixed = mixed_inputs(model, x, share, np.random.default_rng(3), lengths=lengths)
    replaced = np.random.default_rng(3).random(x.inputs.shape) < share
    changed = 0
    for n, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        memory, state = model.encode(np.array([[*source, 0]]), [len(source)])
        token, scores = 1, []
        for t in range(len(target) + 1):
            assert mixed.inputs[n, t] == token
            one, state = model.step(np.array([[token]]), state, memory)
            scores.append(one[0, 0])
            if t < len(target):
                token = int(one.argmax()) if replaced[n, t + 1] else int(target[t])
                changed += token != target[t]
        fused, _ = model(mixed, lengths=lengths)
        assert_same_bits(fused[n, : len(scores)], np.array(scores), "one pass")
    assert changed > 0
    assert (mixed.inputs[~BATCH.mask] == x.inputs[~BATCH.mask]).all()
    same = mixed_inputs(model, x, 0.0, np.random.default_rng(3), lengths=lengths)
    assert (same.inputs == x.inputs).all()


def test_training_with_a_sampling_probability_uses_mixed_inputs():
    model = model_of("lstm, general", size=8)
    mixed = mixed_inputs(model, BATCH.x, 0.7, np.random.default_rng(5), lengths=BATCH.lengths)
    value, dscores, tape = loss_of(model, BATCH)
    model.sampling_probability = 0.7
    sampled_value, dsampled, sampled_tape = loss_of(model, BATCH)
    model.sampling_probability = 0.0
    scores, _, mixed_tape = model.forward(mixed, lengths=BATCH.lengths)
    expected, dexpected = LOSS(scores, BATCH.y, BATCH.mask)
    assert sampled_value == expected != value
    vectors = []
    for one, gradient in ((tape, dscores), (sampled_tape, dsampled), (mixed_tape, dexpected)):
        model.zero_grad()
        model.backward(one, gradient)
        vectors.append(model.gradient_vector.copy())
    assert_same_bits(vectors[1], vectors[2], "gradients")
    assert (vectors[0] != vectors[1]).any()


def test_sampled_choices_follow_the_softmax():
    model = fr.EncoderDecoder(4, 3, 4, attention="none", seed=0)
    model.parameters["output.weight"][...] = 0
    shares = np.array([0.9, 0.02, 0.08])
    model.parameters["output.bias"][...] = np.log(shares)
    x = EncoderDecoderInput(np.full((1000, 1), 3), None, np.ones((1000, 5), np.int64))
    found = mixed_inputs(model, x, 1.0, np.random.default_rng(0), sample=True).inputs
    assert (found[:, 0] == 1).all()
    counts = np.bincount(found[:, 1:].ravel(), minlength=3) / 4000
    assert (np.abs(counts - shares) < 4 * np.sqrt(shares * (1 - shares) / 4000)).all()


def test_schedules():
    assert [linear_schedule(s, 10, final=0.4) for s in (0, 5, 10, 99)] == [0.0, 0.2, 0.4, 0.4]
    for step in (0, 50, 300):
        by_paper = 100 / (100 + np.exp(step / 100))  # the share of true tokens
        assert inverse_sigmoid_schedule(step, 100) == pytest.approx(1 - by_paper, abs=1e-12)
    assert inverse_sigmoid_schedule(10**9, 10) == 1.0


def test_it_learns_to_turn_sequences_round_and_translates_the_same_in_any_company():
    rng = np.random.default_rng(0)
    sources = [rng.integers(3, 9, rng.integers(1, 6)) for _ in range(800)]
    pairs = PairDataset(sources, [source[::-1] for source in sources])
    model = fr.EncoderDecoder(9, 9, 32, seed=0)
    optimizer = fr.optim.Adam(2e-2)
    for epoch in range(12):
        optimizer.learning_rate = 2e-2 * 0.8**epoch
        for batch in pairs.batches(rng, batch_size=32, bucket_by_length=True):
            scores, _, tape = model.forward(batch.x, lengths=batch.lengths)
            _, dscores = LOSS(scores, batch.y, batch.mask)
            model.zero_grad()
            model.backward(tape, dscores, input_gradient=False)
            fr.optim.clip_by_global_norm(model.gradient_vector, 1.0)
            optimizer.step(model.parameter_vector, model.gradient_vector)
    new = [rng.integers(3, 9, rng.integers(1, 6)) for _ in range(60)]
    greedy = model.translate(new)
    right = [
        h.ended and h.tokens.tolist() == s[::-1].tolist() for h, s in zip(greedy, new, strict=True)
    ]
    assert np.mean(right) > 0.9
    for width in (1, 3):
        together = model.translate(new, beam_width=width)
        apart = model.translate(new[::-1], beam_width=width, batch_size=7)[::-1]
        for one, other in zip(together, apart, strict=True):
            assert one.tokens.tolist() == other.tokens.tolist()
            assert one.log_probability == other.log_probability
        gains = [w.score - g.score for w, g in zip(together, greedy, strict=True)]
        assert min(gains) >= 0 or width > 1
        assert np.mean(gains) >= 0
    (empty,) = model.translate([[]], max_length=2)
    assert len(empty.tokens) <= 2


def test_batches_of_pairs():
    pairs = PairDataset(SOURCES * 20, TARGETS * 20)
    assert (len(pairs), pairs.num_batches(8)) == (100, 13)
    assert (pairs.per_step, pairs.carries_state) == (True, False)
    for bucket in (False, True):
        whole = list(pairs.batches(np.random.default_rng(1), batch_size=8, bucket_by_length=bucket))
        rest = list(
            pairs.batches(np.random.default_rng(1), batch_size=8, start=5, bucket_by_length=bucket)
        )
        assert len(whole) == 13
        for one, other in zip(whole[5:], rest, strict=True):
            assert one.y.tolist() == other.y.tolist()
        seen = sorted(tuple(row) for batch in whole for row in as_pairs(batch))
        assert seen == sorted(tuple(row) for row in as_pairs(pairs.batch(range(100))))
        padding = sum(int((~batch.mask).sum()) for batch in whole)
        assert padding < 250 if bucket else padding > 300
    in_order = next(pairs.batches(None, batch_size=5))
    assert in_order.y.tolist() == BATCH.y.tolist()
    assert BATCH.y[0].tolist() == [*TARGETS[0], 2, 0, 0, 0, 0, 0, 0]
    assert BATCH.x.inputs[1].tolist() == [1, *TARGETS[1]]
    assert pairs.fingerprint() == PairDataset(SOURCES * 20, TARGETS * 20).fingerprint()
    assert pairs.fingerprint() != PairDataset(SOURCES, TARGETS).fingerprint()
    for bad, message in (
        (([[1]], [[1], [2]]), "targets: expected N = 1 sequences like sources, got 2"),
        (([], []), "sources: expected at least one"),
        (([[[1]]], [[1]]), r"sources\[0\]: expected shape \(steps,\)"),
        (([[3]], [[3, 2]]), "targets: expected tokens other than end_token = 2"),
        (([[3]], [[1, 3]]), "targets: expected tokens other than begin_token = 1"),
    ):
        with pytest.raises(ValueError, match=message):
            PairDataset(*bad)
    with pytest.raises(ValueError, match="bucket_by_length: expected a generator"):
        pairs.batches(batch_size=8, bucket_by_length=True)
    with pytest.raises(ValueError, match="start: expected at least 0, got -1"):
        pairs.batches(batch_size=8, start=-1)
    with pytest.raises(TypeError, match=r"targets\[0\]: expected integer tokens, got float64"):
        PairDataset([[1]], [[1.5]])


def as_pairs(batch):
    """Yield each row's source and target as one list."""
    for n, steps in enumerate(batch.lengths):
        yield [*batch.x.source[n, : batch.x.source_lengths[n]], -1, *batch.y[n, :steps]]


def test_bad_arguments_are_named_and_change_nothing():
    for bad, message in (
        ({"hidden_size": 5}, "hidden_size: expected an even number"),
        ({"cell": "transformer"}, "cell: expected one of lstm, gru, rnn"),
        ({"attention": "additive"}, "attention: expected one of general, dot, none"),
        ({"end_token": 7}, r"end_token: expected 0\.\.6, got 7"),
        ({"dropout": 1.0}, "dropout: expected 0 <= dropout < 1"),
    ):
        with pytest.raises(ValueError, match=message):
            fr.EncoderDecoder(9, 7, **bad)
    model = model_of("lstm, general")
    x = BATCH.x
    for call in (model, model.forward):
        with pytest.raises(TypeError, match="x: expected an EncoderDecoderInput, got ndarray"):
            call(x.source)
        with pytest.raises(ValueError, match="state: expected None"):
            call(x, np.zeros(3))
        with pytest.raises(ValueError, match=r"lengths: expected shape \(N,\) = \(5,\)"):
            call(x, lengths=[1, 2])
        with pytest.raises(ValueError, match=r"x: expected tokens in 0\.\.6, got 8"):
            call(EncoderDecoderInput(x.source, x.source_lengths, np.full((5, 2), 8)))
    with pytest.raises(ValueError, match="inputs: expected N = 5 rows like source, got 2"):
        EncoderDecoderInput(x.source, x.source_lengths, np.ones((2, 3), np.int64))
    with pytest.raises(TypeError, match="source: expected integer tokens, got float64"):
        EncoderDecoderInput(np.ones((2, 3)), None, np.ones((2, 3), np.int64))
    with pytest.raises(ValueError, match="source: expected at least one step"):
        EncoderDecoderInput(np.ones((2, 0), int), None, np.ones((2, 3), int))
    with pytest.raises(ValueError, match=r"sources\[1\]: expected tokens in 0\.\.8, got 9"):
        model.translate([[3], [9]])
    with pytest.raises(TypeError, match=r"sources\[0\]: expected integer tokens"):
        model.translate([[0.5]])
    with pytest.raises(ValueError, match="length_penalty: expected at least 0, got -1"):
        model.translate([[3]], length_penalty=-1)
    one, other = (model.translate([[3, 4]], length_penalty=p, max_length=5)[0] for p in (0.0, 2.0))
    assert one.tokens.tolist() == other.tokens.tolist()
    length = len(one.tokens) + one.ended
    assert other.score == pytest.approx(one.log_probability / length**2)
    scores, _, tape = model.forward(x, lengths=BATCH.lengths)
    with pytest.raises(ValueError, match="dstate: expected None"):
        model.backward(tape, scores, np.zeros(3))
    with pytest.raises(ValueError, match="dy: expected shape"):
        model.backward(tape, scores[:, :1])
    assert not model.gradient_vector.any()
    model.backward(tape, scores)  # still of use
    with pytest.raises(RuntimeError, match="already used"):
        model.backward(tape, scores)
    _, _, tape = model.forward(x, lengths=BATCH.lengths)
    model.parameters["decoder.weight_hh_l0"][...] += 1
    with pytest.raises(RuntimeError, match="the parameters changed since forward"):
        model.backward(tape, scores)
    _, _, tape = model.forward(x, lengths=BATCH.lengths)
    tape.discard()
    with pytest.raises(RuntimeError, match="already used"):
        model.backward(tape, scores)


def test_two_threads_give_the_same_bits():
    model = model_of("lstm, general", size=128, num_layers=2)
    rng = np.random.default_rng(2)
    sources = [rng.integers(3, 9, n) for n in rng.integers(1, 12, 40)]
    batch = PairDataset(sources, [source % 4 + 3 for source in sources]).batch(range(40))
    before, results = fr.get_num_threads(), []
    try:
        for count in (1, 2):
            fr.set_num_threads(count)
            _, dscores, tape = loss_of(model, batch)
            model.zero_grad()
            model.backward(tape, dscores)
            results.append((dscores, model.gradient_vector.copy()))
    finally:
        fr.set_num_threads(before)
    for name, one, two in zip(("scores", "gradients"), *results, strict=True):
        assert_same_bits(one, two, name)


def test_truncated_bptt_is_not_for_pairs():
    with pytest.raises(ValueError, match="expected layers that read step by step, got Enc"):
        fr.Trainer(fr.EncoderDecoder(5, 6, 4, bidirectional=False, seed=0), bptt_steps=3)
