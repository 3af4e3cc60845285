"""Greedy and beam search against enumeration; edit distances; vocabularies."""

import itertools

import numpy as np
import pytest

from fastrnn.seq2seq import Vocabulary, beam_search, edit_distance, error_rate, greedy_search

BEGIN, END, V = 0, 1, 3


class History:
    """A random distribution after every history of every row; state: (1, rows, 1), the history."""

    def __init__(self, rows, seed, sharpness=1.0):
        self.rows, self.seed, self.sharpness = rows, seed, sharpness
        self.begin = np.zeros((1, rows, 1))

    def log_probabilities(self, row, history):
        """Return those of the next token, (V,); history: its number in base V."""
        rng = np.random.default_rng([self.seed, row, history])
        scores = self.sharpness * rng.standard_normal(V)
        return scores - np.log(np.exp(scores).sum())

    def step(self, tokens, state, rows):
        """Return the next log-probabilities (R, k, V)."""
        width = tokens.shape[1]
        assert state.shape == (1, tokens.size, 1)
        state = state * (V + 1) + tokens.reshape(1, -1, 1) + 1
        found = [
            self.log_probabilities(int(rows[i // width]), int(history))
            for i, history in enumerate(state.ravel())
        ]
        return np.array(found).reshape(len(rows), width, V), state

    def total(self, row, tokens):
        """Return the log-probability of a whole sequence, its end token included."""
        history, total = BEGIN + 1, 0.0
        for token in tokens:
            total += self.log_probabilities(row, history)[token]
            history = history * (V + 1) + token + 1
        return total

    def best(self, row, max_length, penalty):
        """Return score and tokens of the best of all sequences."""
        found = []
        for length in range(1, max_length + 1):
            others = [token for token in range(V) if token != END]
            for start in itertools.product(others, repeat=length - 1):
                last = range(V) if length == max_length else [END]
                for token in last:
                    tokens = (*start, token)
                    found.append((self.total(row, tokens) / length**penalty, tokens))
        return max(found)


ENDS = {"begin": BEGIN, "end": END}


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.5])
def test_a_beam_that_drops_nothing_finds_the_best_of_all_sequences(penalty):
    rows, length = 5, 4
    model = History(rows, seed=2, sharpness=3.0)
    found = beam_search(
        model.step, model.begin, rows, **ENDS, beam_width=V**length, max_length=length,
        length_penalty=penalty,
    )  # fmt: skip
    lengths = set()
    for row, hypotheses in enumerate(found):
        score, tokens = model.best(row, length, penalty)
        best = hypotheses[0]
        assert best.score == pytest.approx(score, abs=1e-12)
        assert best.tokens.tolist() == [token for token in tokens if token != END]
        assert best.ended == (tokens[-1] == END)
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        lengths.add(len(tokens))
    assert len(lengths) > 1


def test_every_hypothesis_has_its_probability():
    model = History(4, seed=2)
    found = beam_search(
        model.step, model.begin, 4, **ENDS, beam_width=5, max_length=6, length_penalty=1.0
    )
    for row, hypotheses in enumerate(found):
        seen = set()
        for h in hypotheses:
            tokens = [*h.tokens.tolist(), *[END] * h.ended]
            assert h.log_probability == pytest.approx(model.total(row, tokens), abs=1e-12)
            assert h.score == pytest.approx(h.log_probability / len(tokens), abs=1e-12)
            assert END not in h.tokens
            seen.add(tuple(tokens))
        assert len(seen) == len(hypotheses) >= 1


def beam_by_hand(model, row, width, max_length, penalty):
    """Return the best of a row: a beam over lists, up to the maximal length in any case."""

    def score(tokens):
        return model.total(row, tokens) / max(len(tokens), 1) ** penalty

    beam = [()]
    for _ in range(max_length):
        longer = []
        for tokens in beam:
            ended = END in tokens
            longer += [tokens] if ended else [(*tokens, token) for token in range(V)]
        beam = sorted(longer, key=score, reverse=True)[:width]
    return score(beam[0]), beam[0]


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("width", [2, 4])
def test_the_best_is_that_of_a_beam_by_hand_which_never_stops_early(width, penalty):
    rows = 40
    model = History(rows, seed=5, sharpness=1.5)
    limits = np.arange(rows) % 3 + 5
    found = beam_search(
        model.step, model.begin, rows, **ENDS, beam_width=width, max_length=limits,
        length_penalty=penalty,
    )  # fmt: skip
    stopped = 0
    for row, hypotheses in enumerate(found):
        score, tokens = beam_by_hand(model, row, width, limits[row], penalty)
        assert hypotheses[0].tokens.tolist() == [token for token in tokens if token != END]
        assert hypotheses[0].score == pytest.approx(score, abs=1e-12)
        assert all(h.ended or len(h.tokens) == limits[row] for h in hypotheses)
        stopped += max(len(h.tokens) for h in hypotheses) < limits[row] - 1
    assert stopped > 0


def test_width_one_is_greedy_and_greedy_takes_the_likeliest_token():
    rows = 12
    limits = np.arange(rows) % 6 + 1
    model = History(rows, seed=3)
    greedy = greedy_search(model.step, model.begin, rows, **ENDS, max_length=limits)
    beams = beam_search(model.step, model.begin, rows, **ENDS, beam_width=1, max_length=limits)
    cut = 0
    for row, (one, (other,)) in enumerate(zip(greedy, beams, strict=True)):
        tokens, history = [], BEGIN + 1
        while len(tokens) < limits[row] and END not in tokens:
            tokens.append(int(model.log_probabilities(row, history).argmax()))
            history = history * (V + 1) + tokens[-1] + 1
        assert one.tokens.tolist() == other.tokens.tolist() == [t for t in tokens if t != END]
        assert one.ended == other.ended == (END in tokens)
        assert one.log_probability == other.log_probability == other.score
        assert one.log_probability == pytest.approx(model.total(row, tokens), abs=1e-12)
        cut += not one.ended
    assert 0 < cut < rows


def test_a_wider_beam_is_not_worse_than_greedy_on_average_and_rows_are_apart():
    rows = 30
    model = History(rows, seed=4, sharpness=0.5)
    arguments = ENDS | {"max_length": 6}
    greedy = greedy_search(model.step, model.begin, rows, **arguments)
    wide = beam_search(model.step, model.begin, rows, **arguments, beam_width=4)
    gain = [w[0].score - g.score for w, g in zip(wide, greedy, strict=True)]
    assert np.mean(gain) > 0.05
    for row in range(0, rows, 7):

        def step(tokens, state, rows, row=row):
            return model.step(tokens, state, np.full(len(rows), row))

        (alone,) = beam_search(step, model.begin[:, :1], 1, **arguments, beam_width=4)
        for one, other in zip(alone, wide[row], strict=True):
            assert one.tokens.tolist() == other.tokens.tolist()
            assert one.score == other.score


def test_searches_leave_rows_that_are_done():
    """Rows end at once but one: the others are not run again."""
    sizes = []

    def step(tokens, state, rows):
        sizes.append(len(rows))
        ends = np.array([0.0 if row != 2 else -50.0 for row in rows])
        log_probabilities = np.full((*tokens.shape, V), -40.0)
        log_probabilities[..., END] = ends[:, None]
        log_probabilities[..., 2] = -1e-9
        log_probabilities[ends == 0, :, 2] = -30.0
        return log_probabilities, state

    for run in (greedy_search, lambda *a, **k: beam_search(*a, **k, beam_width=2)):
        sizes.clear()
        run(step, None, 4, **ENDS, max_length=3)
        assert sizes == [4, 1, 1]


def test_bad_arguments_of_searches():
    model = History(2, seed=0)
    good = ENDS | {"beam_width": 2, "max_length": 3}
    for bad, message in (
        ({"beam_width": 0}, "beam_width: expected at least 1"),
        ({"max_length": 0}, "max_length: expected at least 1, got 0"),
        ({"max_length": [1, 2, 3]}, "max_length: expected one number or 2"),
        ({"length_penalty": -1}, "length_penalty: expected at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            beam_search(model.step, model.begin, 2, **(good | bad))
    with pytest.raises(TypeError, match="max_length: expected integers"):
        greedy_search(model.step, model.begin, 2, **ENDS, max_length=2.5)

    def step(tokens, state, rows):
        return np.full((*tokens.shape, V), np.nan), state

    with pytest.raises(FloatingPointError, match="log-probabilities: expected numbers"):
        beam_search(step, None, 2, **good)
    with pytest.raises(FloatingPointError, match="log-probabilities: expected numbers"):
        greedy_search(step, None, 2, **ENDS, max_length=3)


def distance_by_recursion(a, b):
    """Return the edit distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        distance_by_recursion(a[1:], b[1:]) + (a[0] != b[0]),
        distance_by_recursion(a[1:], b) + 1,
        distance_by_recursion(a, b[1:]) + 1,
    )


def test_edit_distance_is_its_definition():
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(60):
        a, b = ("".join(rng.choice(list("xyz"), rng.integers(0, 6))) for _ in range(2))
        found.add(edit_distance(a, b))
        assert edit_distance(a, b) == distance_by_recursion(a, b)
        assert edit_distance(list(a), tuple(b)) == edit_distance(b, a)
    assert len(found) > 3


def test_error_rate_takes_the_nearest_reference():
    assert error_rate([[1, 2, 3]], [[[9, 9], [1, 2, 4, 5]]]) == 2 / 4  # not 3 / 2
    assert error_rate([[1, 2], []], [[[1, 2]], [[3, 3]]]) == 2 / 4
    assert error_rate([[1, 2, 3], [4]], [[[1, 2, 3]], [[4]]]) == 0
    with pytest.raises(ValueError, match="references: expected 1 like hypotheses, got 2"):
        error_rate(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match=r"references\[1\]: expected at least one"):
        error_rate(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="at least one symbol"):
        error_rate([""], [[""]])


def test_vocabularies_go_both_ways():
    phonemes = Vocabulary.of([["T", "AH"], ["AH", "B"]])
    assert phonemes.symbols == ("AH", "B", "T")
    tokens = phonemes.encode(["T", "AH", "T"])
    assert tokens.tolist() == [5, 3, 5]
    assert phonemes.decode([1, *tokens, 2, 0]) == ["T", "AH", "T"]
    assert phonemes.encode([]).dtype == np.int64
    with pytest.raises(ValueError, match="expected known symbols, got 'X'"):
        phonemes.encode(["X"])
    with pytest.raises(ValueError, match=r"tokens: expected 0\.\.5"):
        phonemes.decode([6])
    with pytest.raises(ValueError, match="got one twice"):
        Vocabulary("aba")
