"""Types of the compiled modules, one stub for all; meanings: cpp/include/fastrnn."""

from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]
_Optional = NDArray[Any] | None
_Kinds = tuple[bool, bool, bool, bool]
_Masks = tuple[_Optional, _Optional, _Optional, _Optional] | None

class CellKind:
    def __init__(
        self,
        name: str,
        *,
        gate_activation: str = ...,
        candidate_activation: str = ...,
        output_activation: str = ...,
        activation_clip: float = ...,
        cell_clip: float = ...,
        projection_size: int = ...,
        layer_norm: bool = ...,
        zoneout_h: float = ...,
        zoneout_c: float = ...,
        gradient_clip_value: float = ...,
        gradient_clip_norm: float = ...,
    ) -> None: ...

_Cell = CellKind | str

def build_info() -> dict[str, Any]: ...
def panel_size(
    pass_name: str, cell: _Cell, input_size: int, hidden_size: int, itemsize: int
) -> int: ...
def pack(
    pass_name: str,
    cell: _Cell,
    weight_ih: _Array,
    weight_hh: _Optional,
    bias_ih: _Optional,
    bias_hh: _Optional,
    unit_weights: _Optional,
    weight_hr: _Optional,
    layer_norm: _Optional,
    panels: _Array,
) -> None: ...
def same_bytes(first: _Array, second: _Array) -> bool: ...
def tape_size(
    cell: _Cell,
    batch: int,
    steps: int,
    input_size: int,
    hidden_size: int,
    lengths: _Optional,
    itemsize: int,
    masks: _Kinds = ...,
) -> int: ...
def workspace_size(
    pass_name: str,
    with_tape: bool,
    cell: _Cell,
    batch: int,
    steps: int,
    input_size: int,
    hidden_size: int,
    itemsize: int,
    masks: _Kinds = ...,
    num_embeddings: int = ...,
) -> int: ...
def explain_plan(
    cell: _Cell,
    batch: int,
    steps: int,
    input_size: int,
    hidden_size: int,
    threads: int,
    itemsize: int,
) -> dict[str, Any]: ...
def forward(
    cell: _Cell,
    panels: _Array,
    x: _Array,
    h0: _Optional,
    c0: _Optional,
    lengths: _Optional,
    reverse: bool,
    threads: int,
    y: _Array,
    h_n: _Array,
    c_n: _Optional,
    tape: _Optional,
    masks: _Masks,
    workspace: _Array,
) -> None: ...
def backward(
    cell: _Cell,
    panels: _Array,
    tape: _Array,
    dy: _Optional,
    dh_n: _Optional,
    dc_n: _Optional,
    batch: int,
    steps: int,
    lengths: _Optional,
    reverse: bool,
    threads: int,
    dx: _Optional,
    add_to_dx: bool,
    dh0: _Array,
    dc0: _Optional,
    dweight_ih: _Array,
    dweight_hh: _Optional,
    dbias_ih: _Optional,
    dbias_hh: _Optional,
    dunit_weights: _Optional,
    dweight_hr: _Optional,
    dlayer_norm: _Optional,
    weight_sums: _Optional,
    masks: _Masks,
    tokens: _Optional,
    workspace: _Array,
) -> None: ...
def read_tape(
    cell: _Cell,
    tape: _Array,
    input_size: int,
    lengths: _Optional,
    reverse: bool,
    masks: _Masks,
    c: _Optional,
    gates: _Array,
    workspace: _Array,
) -> None: ...
def add_weight_sums(
    cell: _Cell,
    weight_sums: _Array,
    dweight_ih: _Array,
    dweight_hh: _Optional,
    dbias_ih: _Optional,
    dbias_hh: _Optional,
    dunit_weights: _Optional,
    dweight_hr: _Optional,
    dlayer_norm: _Optional,
) -> None: ...
def side_by_side(
    pass_name: str,
    layers: list[tuple[_Cell, int, int]],
    batch: int,
    steps: int,
    lengths: _Optional,
    threads: int,
    itemsize: int,
) -> bool: ...
def forward_side_by_side(calls: list[tuple[Any, ...]]) -> None: ...
def backward_side_by_side(calls: list[tuple[Any, ...]]) -> None: ...
def linear_workspace_size(rows: int, input_size: int, output_size: int, itemsize: int) -> int: ...
def linear_forward(
    weight: _Array, bias: _Optional, x: _Array, y: _Array, workspace: _Array
) -> None: ...
def linear_backward(
    weight: _Array,
    x: _Array,
    dy: _Array,
    dx: _Optional,
    dweight: _Array,
    dbias: _Optional,
    workspace: _Array,
) -> None: ...
def linear_panel_size(input_size: int, output_size: int, itemsize: int) -> int: ...
def pack_linear(weight: _Array, bias: _Optional, panels: _Array) -> None: ...
def bernoulli(
    key: int,
    stream: int,
    first_row: int,
    first_step: int,
    threshold: int,
    scale: float,
    threads: int,
    out: _Array,
) -> None: ...
def sum_of_squares(vector: _Array) -> float: ...
def adam(
    parameters: _Array,
    gradients: _Array,
    sum: _Array,
    square_sum: _Array,
    beta1: float,
    beta2: float,
    epsilon: float,
    rate: float,
) -> None: ...
def softmax_cross_entropy(
    scores: _Array, labels: _Array, weights: _Optional, gradient: _Array
) -> float: ...

class _Stream:
    def __init__(
        self, stages: list[tuple[Any, int, int, _Array, int, int]], batch: int
    ) -> None: ...
    def step(self, x: _Array, out: _Array) -> None: ...
    def reset(self) -> None: ...
    def read_state(self, stage: int, h: _Array, c: _Optional) -> None: ...
    def write_state(self, stage: int, h: _Array, c: _Optional) -> None: ...

class StreamFloat32(_Stream): ...
class StreamFloat64(_Stream): ...
