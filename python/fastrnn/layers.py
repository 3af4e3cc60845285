"""LSTM, GRU and RNN: the recurrent layers that users start with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from fastrnn import _checks, ops
from fastrnn.network import RecurrentNetwork
from fastrnn.options import NetworkOptions, Options, own_options


class LSTM(RecurrentNetwork):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

    For each step, with gates i f g o in this order in weight_ih (4*H, I) and weight_hh (4*H, H)::

        i, f, o = sigmoid(W x + b_ih + R h + b_hh),  g = tanh(W x + b_ih + R h + b_hh)
        c = f * c + i * g,  h = o * tanh(c)

    With peepholes (Gers and Schmidhuber 2000), p_i, p_f, p_o (H,) in weight_peephole, i and f see
    p c of the step before, o sees p_o c. Coupled gates (Greff et al. 2017) have f = 1 - i: the
    weights hold i g o, and the peepholes p_i, p_o. With a projection (Sak et al. 2014),
    h = weight_hr (o * tanh(c)) has P numbers, and weight_hh is (4*H, P).

    The state is a pair (h, c), each (num_layers * num_directions, N, H), or,
    where layers differ in size, a tuple of num_layers * num_directions arrays (N, H) each. h has P
    features instead of H where there is a projection, and so have outputs.

    Parameters
    ----------
    input_size : int
        I, at least 1.
    hidden_size : int or sequence of int
        H, at least 1; a sequence has one for each layer, from the input up.
    num_layers : int or None, default None
        Layers on top of each other; None: as many as `hidden_size` has, else 1.
    peepholes : bool, default False
        Parameters weight_peephole_l0 (3*H,), ..., by which the gates see the cell state.
    coupled_gates : bool, default False
        One gate for both: forget as much as is written.
    proj_size : int, default 0
        P, below every hidden size: parameters weight_hr_l0 (P, H), ... 0: no projection.
    cell_clip : float or None, default None
        c lies within -+ this after every step; its gradient is zero beyond.
    zoneout_c : float, default 0.0
        In training each number of c keeps its old value with this probability, as `zoneout_h`.
    gate_activation : str, default "sigmoid"
        Of i, f and o: ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"hard_sigmoid"`` (0.2 a + 0.5 within
        0..1), ``"hard_tanh"`` (a within -1..1), ``"softsign"`` (a / (1 + abs(a))) or
        ``"identity"``.
    candidate_activation, output_activation : str, default "tanh"
        Of g, and of c where it becomes h; the same names.
    **options
        bias, recurrent_bias, batch_first, dropout, input_dropout, recurrent_dropout, drop_connect,
        variational, zoneout_h, bidirectional, merge, residual, layer_norm, activation_clip,
        gradient_clip_value, gradient_clip_norm, pad_output, learn_initial_state, initializer,
        dtype, seed, reverse: see `fastrnn.options.NetworkOptions`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.LSTM(3, 8, num_layers=2, seed=0)
    >>> x = np.ones((4, 6, 3), np.float32)
    >>> y, (h, c) = layer(x, lengths=[6, 2, 0, 5])
    >>> y.shape, h.shape
    ((4, 6, 8), (2, 4, 8))
    >>> y, state, tape = layer.forward(x)
    >>> dx, dstate = layer.backward(tape, np.ones_like(y))
    >>> dx.shape, layer.gradients["weight_ih_l0"].shape
    ((4, 6, 3), (32, 3))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        peepholes: bool = False,
        coupled_gates: bool = False,
        proj_size: int = 0,
        cell_clip: float | None = None,
        zoneout_c: float = 0.0,
        gate_activation: str = "sigmoid",
        candidate_activation: str = "tanh",
        output_activation: str = "tanh",
        **options: Unpack[Options],
    ) -> None:
        common = NetworkOptions.of(LSTM, options)
        self.peepholes = _checks.switch("peepholes", peepholes)
        self.coupled_gates = _checks.switch("coupled_gates", coupled_gates)
        sizes = _checks.layer_sizes(hidden_size, num_layers)
        self.proj_size = _checks.projection("proj_size", proj_size, sizes)
        self.cell_clip = _checks.limit("cell_clip", cell_clip)
        self.zoneout_c = _checks.probability("zoneout_c", zoneout_c)
        self.gate_activation = _activation("gate_activation", gate_activation)
        self.candidate_activation = _activation("candidate_activation", candidate_activation)
        self.output_activation = _activation("output_activation", output_activation)
        super().__init__(
            "lstm" + "_coupled" * self.coupled_gates + "_peephole" * self.peepholes,
            input_size,
            sizes,
            ops.CellOptions(
                gate_activation=self.gate_activation,
                candidate_activation=self.candidate_activation,
                output_activation=self.output_activation,
                cell_clip=self.cell_clip or 0.0,
                projection_size=self.proj_size,
                zoneout_c=self.zoneout_c,
            ),
            common,
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return self._config(own_options(LSTM), ("peepholes", "coupled_gates"))


class GRU(RecurrentNetwork):
    """Gated recurrent unit (Cho et al. 2014).

    For each step, with gates r z n in this order in weight_ih (3*H, I) and weight_hh (3*H, H)::

        r, z = sigmoid(W x + b_ih + R h + b_hh)
        n = tanh(W_n x + b_in + r * (R_n h + b_hn))      reset_after=True, as cuDNN and PyTorch
        n = tanh(W_n x + b_in + R_n (r * h) + b_hn)      reset_after=False, as first published
        h = (1 - z) * n + z * h

    The state is h, (num_layers * num_directions, N, H), or,
    where layers differ in size, a tuple of num_layers * num_directions arrays (N, H).

    Parameters
    ----------
    input_size : int
        I, at least 1.
    hidden_size : int or sequence of int
        H, at least 1; a sequence has one for each layer, from the input up.
    num_layers : int or None, default None
        Layers on top of each other; None: as many as `hidden_size` has, else 1.
    reset_after : bool, default True
        Whether the reset gate acts after the recurrent product.
    gate_activation : str, default "sigmoid"
        Of r and z: ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"hard_sigmoid"`` (0.2 a + 0.5 within
        0..1), ``"hard_tanh"`` (a within -1..1), ``"softsign"`` (a / (1 + abs(a))) or
        ``"identity"``.
    candidate_activation : str, default "tanh"
        Of n; the same names.
    **options
        bias, recurrent_bias, batch_first, dropout, input_dropout, recurrent_dropout, drop_connect,
        variational, zoneout_h, bidirectional, merge, residual, layer_norm, activation_clip,
        gradient_clip_value, gradient_clip_norm, pad_output, learn_initial_state, initializer,
        dtype, seed, reverse: see `fastrnn.options.NetworkOptions`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.GRU(3, 8, bidirectional=True, seed=0)
    >>> y, h = layer(np.ones((4, 6, 3), np.float32))
    >>> y.shape, h.shape
    ((4, 6, 16), (2, 4, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        reset_after: bool = True,
        gate_activation: str = "sigmoid",
        candidate_activation: str = "tanh",
        **options: Unpack[Options],
    ) -> None:
        common = NetworkOptions.of(GRU, options)
        self.reset_after = _checks.switch("reset_after", reset_after)
        self.gate_activation = _activation("gate_activation", gate_activation)
        self.candidate_activation = _activation("candidate_activation", candidate_activation)
        super().__init__(
            "gru" if reset_after else "gru_reset_before",
            input_size,
            _checks.layer_sizes(hidden_size, num_layers),
            ops.CellOptions(
                gate_activation=self.gate_activation,
                candidate_activation=self.candidate_activation,
            ),
            common,
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return self._config(own_options(GRU), ("reset_after",))


class RNN(RecurrentNetwork):
    """Vanilla recurrent network (Elman 1990): h = f(W x + b_ih + R h + b_hh).

    Independent units (Li et al. 2018, IndRNN) see their own past alone: h = f(W x + b_ih + u h),
    with u (H,) in weight_hh, element by element, and no bias_hh.

    The state is h, (num_layers * num_directions, N, H), or,
    where layers differ in size, a tuple of num_layers * num_directions arrays (N, H).

    Parameters
    ----------
    input_size : int
        I, at least 1.
    hidden_size : int or sequence of int
        H, at least 1; a sequence has one for each layer, from the input up.
    num_layers : int or None, default None
        Layers on top of each other; None: as many as `hidden_size` has, else 1.
    nonlinearity : str, default "tanh"
        f: ``"tanh"``, ``"relu"``, ``"sigmoid"``, ``"hard_sigmoid"`` (0.2 a + 0.5 within 0..1),
        ``"hard_tanh"`` (a within -1..1), ``"softsign"`` (a / (1 + abs(a))) or ``"identity"``.
    independent : bool, default False
        One recurrent weight per unit instead of a matrix.
    **options
        bias, recurrent_bias, batch_first, dropout, input_dropout, recurrent_dropout, drop_connect
        (not of independent units), variational, zoneout_h, bidirectional, merge, residual,
        layer_norm, activation_clip, gradient_clip_value, gradient_clip_norm, pad_output,
        learn_initial_state, initializer, dtype, seed, reverse: see
        `fastrnn.options.NetworkOptions`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.RNN(3, 8, nonlinearity="relu", seed=0)
    >>> y, h = layer(np.ones((4, 6, 3), np.float32))
    >>> bool((y[:, -1] == h[0]).all())
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        nonlinearity: str = "tanh",
        independent: bool = False,
        **options: Unpack[Options],
    ) -> None:
        common = NetworkOptions.of(RNN, options)
        self.nonlinearity = _activation("nonlinearity", nonlinearity)
        self.independent = _checks.switch("independent", independent)
        if self.independent and common.drop_connect:
            raise ValueError(
                "drop_connect: expected 0.0 with independent=True, which has no recurrent matrix, "
                f"got {common.drop_connect}"
            )
        # The kernels have a cell for relu, and one for tanh that takes the other activations.
        relu = nonlinearity == "relu"
        super().__init__(
            "independent_" * self.independent + ("rnn_relu" if relu else "rnn_tanh"),
            input_size,
            _checks.layer_sizes(hidden_size, num_layers),
            ops.PLAIN if relu else ops.CellOptions(candidate_activation=nonlinearity),
            common,
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return self._config(own_options(RNN), ("nonlinearity", "independent"))


def _activation(name: str, value: str) -> str:
    return _checks.choice(name, value, ops.ACTIVATIONS)


#: Recurrent layers by the name of their cell.
CELLS: dict[str, Callable[..., RecurrentNetwork]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
