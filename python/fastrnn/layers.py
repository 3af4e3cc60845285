"""LSTM, GRU and RNN: the recurrent layers that users start with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrnn import _checks
from fastrnn.initializers import Choice
from fastrnn.network import RecurrentNetwork, Seed


class LSTM(RecurrentNetwork):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

    For each step, with gates i f g o in this order in weight_ih (4*H, I) and weight_hh (4*H, H)::

        i, f, o = sigmoid(W x + b_ih + R h + b_hh),  g = tanh(W x + b_ih + R h + b_hh)
        c = f * c + i * g,  h = o * tanh(c)

    With peepholes (Gers and Schmidhuber 2000), p_i, p_f, p_o (H,) in weight_peephole, i and f see
    p c of the step before, o sees p_o c. Coupled gates (Greff et al. 2017) have f = 1 - i: the
    weights hold i g o, and the peepholes p_i, p_o.

    The state is a pair (h, c), each (num_layers * num_directions, N, H), or,
    where layers differ in size, a tuple of num_layers * num_directions arrays (N, H) each.

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
    bias : bool, default True
        Two biases, as in PyTorch.
    batch_first : bool, default True
        Sequences are (N, T, features); False: (T, N, features).
    dropout : float, default 0.0
        Dropout on the outputs of every layer except the last, in training.
    bidirectional : bool, default False
        A second set of weights reads each row from its last valid step to its first.
    merge : {"concat", "sum", "mean", "product"}, default "concat"
        How the outputs of both directions become one in every layer, as for `Bidirectional`.
    residual : bool, default False
        From the second layer on, add each layer's input to its output (`Residual`); their sizes
        have to agree.
    pad_output : {"zero", "repeat"} or float, default "zero"
        What y holds behind the ends of rows: zeros, each row's last valid output (then `backward`
        reads dy there too; rows without a valid step have zeros), or a number.
    learn_initial_state : bool, default False
        Parameters h0_l0, c0_l0 (H,), ..., zero at first, stand for the initial state of every row
        where a call is given none.
    initializer : str, Initializer, mapping or None, default None
        Initial values other than uniform in +-1/sqrt(H), as for `fastrnn.initializers.initialize`:
        ``{"weight_hh": "orthogonal", "bias": "forget_bias"}``. Other parameters have the values
        that they have without it. Not part of `config`, as the values are saved.
    dtype : dtype, default float32
        float32 or float64; ``"bfloat16"`` as `to` makes it.
    seed : int, numpy.random.Generator or None, default None
        For the initial values and dropout masks.
    reverse : bool, default False
        Run backwards in time (what `Bidirectional` makes of a layer for its second direction).

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
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        merge: str = "concat",
        residual: bool = False,
        pad_output: str | float = "zero",
        learn_initial_state: bool = False,
        initializer: Choice | None = None,
        dtype: Any = "float32",
        seed: Seed = None,
        reverse: bool = False,
    ) -> None:
        self.peepholes = bool(peepholes)
        self.coupled_gates = bool(coupled_gates)
        super().__init__(
            "lstm" + "_coupled" * self.coupled_gates + "_peephole" * self.peepholes,
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            merge=merge,
            residual=residual,
            pad_output=pad_output,
            learn_initial_state=learn_initial_state,
            initializer=initializer,
            dtype=dtype,
            seed=seed,
            reverse=reverse,
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return super().config() | {
            "peepholes": self.peepholes,
            "coupled_gates": self.coupled_gates,
        }


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
    bias : bool, default True
        Two biases, as in PyTorch.
    batch_first : bool, default True
        Sequences are (N, T, features); False: (T, N, features).
    dropout : float, default 0.0
        Dropout on the outputs of every layer except the last, in training.
    bidirectional : bool, default False
        A second set of weights reads each row from its last valid step to its first.
    merge : {"concat", "sum", "mean", "product"}, default "concat"
        How the outputs of both directions become one in every layer, as for `Bidirectional`.
    residual : bool, default False
        From the second layer on, add each layer's input to its output (`Residual`); their sizes
        have to agree.
    pad_output : {"zero", "repeat"} or float, default "zero"
        What y holds behind the ends of rows: zeros, each row's last valid output (then `backward`
        reads dy there too; rows without a valid step have zeros), or a number.
    learn_initial_state : bool, default False
        Parameters h0_l0 (H,), ..., zero at first, stand for the initial state of every row where
        a call is given none.
    initializer : str, Initializer, mapping or None, default None
        Initial values other than uniform in +-1/sqrt(H), as for `fastrnn.initializers.initialize`:
        ``{"weight_hh": "orthogonal", "bias": "forget_bias"}``. Other parameters have the values
        that they have without it. Not part of `config`, as the values are saved.
    dtype : dtype, default float32
        float32 or float64; ``"bfloat16"`` as `to` makes it.
    seed : int, numpy.random.Generator or None, default None
        For the initial values and dropout masks.
    reverse : bool, default False
        Run backwards in time (what `Bidirectional` makes of a layer for its second direction).

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
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        merge: str = "concat",
        residual: bool = False,
        pad_output: str | float = "zero",
        learn_initial_state: bool = False,
        initializer: Choice | None = None,
        dtype: Any = "float32",
        seed: Seed = None,
        reverse: bool = False,
    ) -> None:
        self.reset_after = bool(reset_after)
        super().__init__(
            "gru" if reset_after else "gru_reset_before",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            merge=merge,
            residual=residual,
            pad_output=pad_output,
            learn_initial_state=learn_initial_state,
            initializer=initializer,
            dtype=dtype,
            seed=seed,
            reverse=reverse,
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return super().config() | {"reset_after": self.reset_after}


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
    nonlinearity : {"tanh", "relu"}, default "tanh"
        f.
    independent : bool, default False
        One recurrent weight per unit instead of a matrix.
    bias : bool, default True
        Two biases, as in PyTorch; independent units have one.
    batch_first : bool, default True
        Sequences are (N, T, features); False: (T, N, features).
    dropout : float, default 0.0
        Dropout on the outputs of every layer except the last, in training.
    bidirectional : bool, default False
        A second set of weights reads each row from its last valid step to its first.
    merge : {"concat", "sum", "mean", "product"}, default "concat"
        How the outputs of both directions become one in every layer, as for `Bidirectional`.
    residual : bool, default False
        From the second layer on, add each layer's input to its output (`Residual`); their sizes
        have to agree.
    pad_output : {"zero", "repeat"} or float, default "zero"
        What y holds behind the ends of rows: zeros, each row's last valid output (then `backward`
        reads dy there too; rows without a valid step have zeros), or a number.
    learn_initial_state : bool, default False
        Parameters h0_l0 (H,), ..., zero at first, stand for the initial state of every row where
        a call is given none.
    initializer : str, Initializer, mapping or None, default None
        Initial values other than uniform in +-1/sqrt(H), as for `fastrnn.initializers.initialize`:
        ``{"weight_hh": "identity", "bias": "zeros"}``. Other parameters have the values
        that they have without it. Not part of `config`, as the values are saved.
    dtype : dtype, default float32
        float32 or float64; ``"bfloat16"`` as `to` makes it.
    seed : int, numpy.random.Generator or None, default None
        For the initial values and dropout masks.
    reverse : bool, default False
        Run backwards in time (what `Bidirectional` makes of a layer for its second direction).

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
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        merge: str = "concat",
        residual: bool = False,
        pad_output: str | float = "zero",
        learn_initial_state: bool = False,
        initializer: Choice | None = None,
        dtype: Any = "float32",
        seed: Seed = None,
        reverse: bool = False,
    ) -> None:
        self.nonlinearity = _checks.choice("nonlinearity", nonlinearity, ("tanh", "relu"))
        self.independent = bool(independent)
        super().__init__(
            "independent_" * self.independent + f"rnn_{nonlinearity}",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            merge=merge,
            residual=residual,
            pad_output=pad_output,
            learn_initial_state=learn_initial_state,
            initializer=initializer,
            dtype=dtype,
            seed=seed,
            reverse=reverse,
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return super().config() | {
            "nonlinearity": self.nonlinearity,
            "independent": self.independent,
        }
