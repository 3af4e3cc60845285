"""Encoder and decoder for targets of another length than the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrnn import _checks, initializers, ops
from fastrnn._checks import FloatArray
from fastrnn.composition import _Composite
from fastrnn.dropout import Dropout
from fastrnn.feedforward import Embedding, Linear
from fastrnn.layers import CELLS
from fastrnn.protocol import Layer, Tape
from fastrnn.seq2seq.attention import Memory, attend, attend_backward
from fastrnn.seq2seq.beam_search import Hypothesis
from fastrnn.seq2seq.bridge import bridged, unbridged
from fastrnn.seq2seq.inputs import EncoderDecoderInput
from fastrnn.seq2seq.scheduled_sampling import mixed_inputs
from fastrnn.seq2seq.translation import translate

ATTENTIONS = ("general", "dot", "none")


class Encoded(NamedTuple):
    """What a decoder starts from: the encoder's outputs, and the state made of its final one."""

    memory: Memory
    state: Any


class _Kept(NamedTuple):
    tapes: dict[str, Tape]
    lengths: Any
    shape: tuple[int, int]
    queries: FloatArray | None
    memory: Memory | None
    weights: FloatArray | None
    attended: FloatArray | None


class EncoderDecoder(_Composite):
    """A recurrent encoder, and a recurrent decoder that starts from its final state.

    (Sutskever, Vinyals and Le 2014; Cho et al. 2014.) Source tokens go through an embedding and the
    encoder; the decoder reads the target's tokens, one step late, and its outputs h_t become scores
    of the next token. With attention (Luong, Pham and Manning 2015, equations 5 to 8) each h_t
    first looks at all valid outputs m_s of the encoder::

        a_ts = softmax over s of h_t . W m_s  ("general"),  or of h_t . m_s  ("dot")
        c_t = sum_s a_ts m_s
        scores_t = V tanh(W_c [c_t; h_t]) + b

    Attention acts after the recurrence (there is no input feeding), so that in training the decoder
    runs over the whole target at once. The two directions of a bidirectional encoder have half the
    hidden units each; their final states, side by side, are the decoder's initial state.

    A row's outputs are the same bits whatever the other rows, the padding and the number of threads
    are, and whether the decoder runs over all steps or step by step.

    Parameters
    ----------
    source_size, target_size : int
        Numbers of tokens; `PairDataset` reserves the first ones, see `begin_token`.
    hidden_size : int, default 256
        H of the decoder, and of the encoder's outputs.
    embedding_size : int or None, default None
        E, of both embeddings; None: H.
    cell : {"lstm", "gru", "rnn"}, default "lstm"
    num_layers : int, default 1
        Of the encoder and of the decoder.
    bidirectional : bool, default True
        Whether the encoder reads both ways; needs an even H.
    attention : {"general", "dot", "none"}, default "general"
    dropout : float, default 0.0
        In training: of embedded tokens, between layers, and of what the output layer reads.
    begin_token, end_token : int, default 1 and 2
        The decoder's first input, and the target's last token.
    dtype : dtype, default float32
        float32 or float64; ``"bfloat16"`` as `Layer.to` makes it.
    seed : int, numpy.random.Generator or None, default None
        For initial values and masks.

    Attributes
    ----------
    sampling_probability : float
        Share of the decoder's inputs that training replaces by the model's own choices (scheduled
        sampling, Bengio et al. 2015); 0, the default, is teacher forcing. Set it between steps,
        for example by `fastrnn.seq2seq.linear_schedule`. Not part of the configuration.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.EncoderDecoder(10, 8, hidden_size=16, seed=0)
    >>> pairs = fr.seq2seq.PairDataset([[3, 4, 5], [6]], [[3, 4], [5, 6, 7]])
    >>> batch = next(pairs.batches(None, batch_size=2))
    >>> scores, _ = model(batch.x, lengths=batch.lengths)
    >>> scores.shape  # targets of up to three tokens and the end token
    (2, 4, 8)
    >>> len(model.translate([[3, 4, 5], [6]], max_length=5))
    2
    """

    runs_on = False  # all of a source is read first

    def __init__(
        self,
        source_size: int,
        target_size: int,
        hidden_size: int = 256,
        *,
        embedding_size: int | None = None,
        cell: str = "lstm",
        num_layers: int = 1,
        bidirectional: bool = True,
        attention: str = "general",
        dropout: float = 0.0,
        begin_token: int = 1,
        end_token: int = 2,
        dtype: Any = "float32",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        self.source_size = _checks.positive_integer("source_size", source_size)
        self.target_size = _checks.positive_integer("target_size", target_size)
        self.hidden_size = _checks.positive_integer("hidden_size", hidden_size)
        self.embedding_size = _checks.positive_integer(
            "embedding_size", hidden_size if embedding_size is None else embedding_size
        )
        self.cell = _checks.choice("cell", cell, tuple(CELLS))
        self.num_layers = _checks.positive_integer("num_layers", num_layers)
        self.bidirectional = _checks.switch("bidirectional", bidirectional)
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(
                "hidden_size: expected an even number for a bidirectional encoder, "
                f"got {hidden_size}"
            )
        self.num_directions = 2 if self.bidirectional else 1
        self.attention = _checks.choice("attention", attention, ATTENTIONS)
        self.dropout = _checks.probability("dropout", dropout)
        self.begin_token = self._token("begin_token", begin_token)
        self.end_token = self._token("end_token", end_token)
        self.sampling_probability = 0.0
        self._rng = initializers.generator(seed)
        self._buffers = ops.BufferPool()
        self._weight_dtype = str(dtype) if str(dtype) == "bfloat16" else None
        super().__init__(self._build(dtype))

    def _token(self, name: str, token: int) -> int:
        if not isinstance(token, (int, np.integer)) or isinstance(token, bool):
            raise TypeError(f"{name}: expected an integer, got {type(token).__name__}")
        if not 0 <= token < self.target_size:
            raise ValueError(f"{name}: expected 0..{self.target_size - 1}, got {token}")
        return int(token)

    def _build(self, dtype: Any) -> dict[str, Layer]:
        size, rng = self.hidden_size, self._rng
        array_dtype, _ = _checks.recurrent_dtype(dtype)
        own: dict[str, Any] = {"dtype": array_dtype, "seed": rng}
        layer = CELLS[self.cell]
        # Between layers, where there are any, and of what the first one reads.
        options: dict[str, Any] = {
            "dropout": self.dropout if self.num_layers > 1 else 0.0,
            "input_dropout": self.dropout,
            "dtype": dtype,
            "seed": rng,
        }
        self._source_embedding = Embedding(self.source_size, self.embedding_size, **own)
        self._encoder = layer(
            self.embedding_size, size // 2 if self.bidirectional else size, self.num_layers,
            bidirectional=self.bidirectional, **options,
        )  # fmt: skip
        self._target_embedding = Embedding(self.target_size, self.embedding_size, **own)
        self._decoder = layer(self.embedding_size, size, self.num_layers, **options)
        self._score = self._combine = self._dropout = None
        parts: dict[str, Layer] = {
            "source_embedding": self._source_embedding,
            "encoder": self._encoder,
            "target_embedding": self._target_embedding,
            "decoder": self._decoder,
        }
        if self.attention == "general":
            parts["score"] = self._score = Linear(size, size, bias=False, **own)
        if self.attention != "none":
            parts["combine"] = self._combine = Linear(2 * size, size, bias=False, **own)
        if self.dropout:
            parts["dropout"] = self._dropout = Dropout(self.dropout, seed=rng)
        parts["output"] = self._output = Linear(size, self.target_size, **own)
        return parts

    # ---- running ----

    def __call__(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None]:
        """Return scores of the next token, for inference.

        Parameters
        ----------
        x : EncoderDecoderInput
            With N rows and T decoder inputs.
        state : None
            An encoder-decoder carries no state.
        lengths : ndarray of int, (N,), or None, default None
            Valid decoder inputs of each row; None: all T.

        Returns
        -------
        scores : ndarray, (N, T, target_size)
            Before the softmax; zero at invalid steps.
        state : None

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; before the recurrent layers run.
        """
        _check_input(x, state)
        embedded, _ = self._target_embedding(x.inputs, lengths=lengths)
        memory, initial = self.encode(x.source, x.source_lengths)
        h, _ = self._decoder(embedded, initial, lengths=lengths)
        return self._scores(h, memory, lengths), None

    def encode(self, source: Any, lengths: Any = None) -> Encoded:
        """Read the source, for inference.

        Parameters
        ----------
        source : ndarray of int, (N, S)
        lengths : ndarray of int, (N,), or None, default None

        Returns
        -------
        Encoded
            The memory that attention reads, and the decoder's initial state.
        """
        embedded, _ = self._source_embedding(source, lengths=lengths)
        y, final = self._encoder(embedded, lengths=lengths)
        return Encoded(Memory.of(y, lengths), bridged(final, self.num_layers, self.num_directions))

    def step(self, tokens: Any, state: Any, memory: Memory) -> tuple[FloatArray, Any]:
        """Run the decoder for one step, for inference.

        Parameters
        ----------
        tokens : ndarray of int, (N, k)
            Decoder inputs of k hypotheses for each row.
        state : state
            Of N * k rows, a row's hypotheses one after the other.
        memory : Memory
            Of N rows.

        Returns
        -------
        scores : ndarray, (N, k, target_size)
        state
        """
        tokens = np.asarray(tokens)
        embedded, _ = self._target_embedding(tokens.reshape(-1, 1))
        h, state = self._decoder(embedded, state)
        return self._scores(h.reshape(*tokens.shape, self.hidden_size), memory, None), state

    def _scores(self, h: FloatArray, memory: Memory, lengths: Any) -> FloatArray:
        if self._combine is None:
            return self._output(h, lengths=lengths)[0]
        queries = h if self._score is None else self._score(h, lengths=lengths)[0]
        context, _ = attend(queries, memory, lengths, buffers=self._buffers)
        combined, _ = self._combine(np.concatenate([context, h], axis=-1), lengths=lengths)
        return self._output(np.tanh(combined), lengths=lengths)[0]

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None, Tape]:
        """Run for training: as a call, with dropout and scheduled sampling, and a tape.

        Parameters
        ----------
        x, state, lengths
            As for a call.

        Returns
        -------
        scores : ndarray, (N, T, target_size)
        state : None
        tape : Tape
        """
        _check_input(x, state)
        lengths = _checks.lengths(lengths, *x.shape)  # a copy, for the tape
        if self.sampling_probability:
            x = mixed_inputs(self, x, self.sampling_probability, self._rng, lengths=lengths)
        tapes: dict[str, Tape] = {}
        embedded, _, tapes["target_embedding"] = self._target_embedding.forward(
            x.inputs, lengths=lengths
        )
        source, _, tapes["source_embedding"] = self._source_embedding.forward(
            x.source, lengths=x.source_lengths
        )
        y, final, tapes["encoder"] = self._encoder.forward(source, lengths=x.source_lengths)
        h, _, tapes["decoder"] = self._decoder.forward(
            embedded, bridged(final, self.num_layers, self.num_directions), lengths=lengths
        )
        queries = memory = weights = attended = None
        if self._combine is not None:
            queries, memory = h, Memory.of(y, x.source_lengths)
            if self._score is not None:
                queries, _, tapes["score"] = self._score.forward(h, lengths=lengths)
            context, weights = attend(queries, memory, lengths, buffers=self._buffers)
            h, _, tapes["combine"] = self._combine.forward(
                np.concatenate([context, h], axis=-1), lengths=lengths
            )
            h = attended = np.tanh(h)
        if self._dropout is not None:
            h, _, tapes["dropout"] = self._dropout.forward(h)
        scores, _, tapes["output"] = self._output.forward(h, lengths=lengths)
        kept = _Kept(tapes, lengths, x.shape, queries, memory, weights, attended)
        return scores, None, Tape(self, kept)

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        kept: _Kept = tape.content(self)
        if dstate is not None:
            raise ValueError("dstate: expected None, as an encoder-decoder carries no state")
        if dy is not None:
            shape = (*kept.shape, self.target_size)
            _checks.of_shape("dy", dy, "(N, T, target_size)", shape, self.dtype)
        for name in ("encoder", "decoder"):
            self._children[name]._check_backward(kept.tapes[name], None, None)

    def _backward(
        self, tape: Tape, dy: Any, dstate: Any, *, input_gradient: bool
    ) -> tuple[None, None]:
        # Tokens have no gradient: dx is None.
        kept: _Kept = tape.use(self)

        def through(name: str, gradient: Any) -> Any:
            layer, inner = self._children[name], kept.tapes[name]
            return layer._backward(inner, gradient, None, input_gradient=True)[0]

        dh = through("output", dy)
        if self._dropout is not None:
            dh = through("dropout", dh)
        dy_encoder = None
        if kept.attended is not None:
            assert kept.queries is not None
            assert kept.memory is not None
            assert kept.weights is not None
            dboth = through("combine", dh * (1 - np.square(kept.attended)))
            dcontext, dh = dboth[..., : self.hidden_size], dboth[..., self.hidden_size :]
            dqueries, dy_encoder = attend_backward(
                kept.queries, kept.memory, kept.weights, dcontext, kept.lengths,
                buffers=self._buffers,
            )  # fmt: skip
            dh = dh + (dqueries if self._score is None else through("score", dqueries))
        dembedded, dinitial = self._decoder._backward(
            kept.tapes["decoder"], dh, None, input_gradient=True
        )
        through("target_embedding", dembedded)
        dsource, _ = self._encoder._backward(
            kept.tapes["encoder"],
            dy_encoder,
            unbridged(dinitial, self.num_layers, self.num_directions),
            input_gradient=True,
        )
        through("source_embedding", dsource)
        return None, None

    def _discard(self, tape: Tape) -> None:
        for inner in tape.use(self).tapes.values():
            inner.discard()

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw dropout masks and sampled inputs from `rng` from now on."""
        super().reseed(rng)
        self._rng = rng

    def translate(
        self,
        sources: Sequence[Any],
        *,
        beam_width: int = 1,
        max_length: int | None = None,
        length_penalty: float = 0.0,
        batch_size: int = 256,
    ) -> list[Hypothesis]:
        """Return the best target that is found for each source, without begin and end token.

        Parameters
        ----------
        sources : sequence of arrays of int, (S_n,)
        beam_width : int, default 1
            1 is greedy search.
        max_length : int or None, default None
            Largest number of tokens of a target, the end token included; None: 2 S_n + 10.
        length_penalty : float, default 0.0
            See `fastrnn.seq2seq.beam_search`.
        batch_size : int, default 256
            Sources searched for at once. Targets do not depend on it.

        Returns
        -------
        list of Hypothesis
            With the tokens, their log-probability and score.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; before anything is computed.
        """
        return translate(
            self, sources, beam_width=beam_width, max_length=max_length,
            length_penalty=length_penalty, batch_size=batch_size,
        )  # fmt: skip

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        names = (
            "source_size", "target_size", "hidden_size", "embedding_size", "cell", "num_layers",
            "bidirectional", "attention", "dropout", "begin_token", "end_token",
        )  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return {"type": "EncoderDecoder"} | own | {"dtype": self._weight_dtype or str(self.dtype)}


def _check_input(x: Any, state: Any) -> None:
    if not isinstance(x, EncoderDecoderInput):
        raise TypeError(f"x: expected an EncoderDecoderInput, got {type(x).__name__}")
    if state is not None:
        raise ValueError("state: expected None, as an encoder-decoder carries no state")
