"""How a call will be run, for people to read; results never depend on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerPlan:
    """The plan of one cell in one direction over a dense batch, and what it works on.

    Attributes
    ----------
    name : str
        The layer's place in the network.
    module : str
        The instruction set of the loaded kernels.
    cell, dtype : str
        dtype: that of the weights.
    batch_size, steps, input_size, hidden_size : int
        N, T, I, H.
    projection_size : int
        P; 0: none.
    tile : tuple of int
        Rows, and columns (lanes times registers), of the tallest tile of the forward step.
    split : str
        ``"rows"`` or ``"units"``: what several threads share out.
    threads : int
        Threads that the forward pass uses; a direction run side by side with the other has one.
    side_by_side : bool
        Whether the two directions of a layer run at the same time.
    hoisted : bool
        Whether the input's products are taken for many steps at once, or within each step.
    bfloat16 : str
        How weights in bfloat16 are multiplied, ``"dot product"`` or ``"widened"``; else empty.
    forward_panel_bytes, backward_panel_bytes : int
        Packed weights, read once a step (by units: a thread reads its share).
    tape_bytes : int
        Kept by a training pass. bfloat16 is for inference: no tape, no backward panels.
    workspace_bytes : int
        Scratch of inference.
    flops : float
        Operations of the products of one forward pass (a training step takes three times that).
    """

    name: str
    module: str
    cell: str
    dtype: str
    batch_size: int
    steps: int
    input_size: int
    hidden_size: int
    projection_size: int
    tile: tuple[int, int]
    split: str
    threads: int
    side_by_side: bool
    hoisted: bool
    bfloat16: str
    forward_panel_bytes: int
    backward_panel_bytes: int
    tape_bytes: int
    workspace_bytes: int
    flops: float

    def __str__(self) -> str:
        sizes = f"N {self.batch_size}, T {self.steps}, I {self.input_size}, H {self.hidden_size}"
        if self.projection_size:
            sizes = f"{sizes}, P {self.projection_size}"
        tile = f"{self.tile[0]} row{'s' * (self.tile[0] > 1)} x {self.tile[1]} columns"
        million = self.flops * 1e-6
        threads = "1 thread"
        if self.threads > 1:
            threads = f"{self.threads} threads, split by {self.split}"
        if self.side_by_side:
            threads = f"{threads}, side by side with the other direction"
        weights = f", {self.bfloat16}" if self.bfloat16 else ""
        inputs = "taken for many steps at once" if self.hoisted else "within each step"
        bptt = memory = training = ""
        if not self.bfloat16:  # which is for inference
            bptt = f" ({_size(self.backward_panel_bytes)} in BPTT)"
            memory = f", tape {_size(self.tape_bytes)}"
            training = f", {3 * million:.1f} training"
        return "\n".join(
            (
                f"{self.name}: {self.cell} {self.dtype}, {sizes}",
                f"  kernels      {self.module}, tiles of {tile}",
                f"  threads      {threads}",
                f"  input        products {inputs}",
                f"  weights      {_size(self.forward_panel_bytes)}{weights}, read each step{bptt}",
                f"  memory       workspace {_size(self.workspace_bytes)}{memory}",
                f"  arithmetic   {million:.1f} MFLOP forward{training}",
            )
        )


@dataclass(frozen=True)
class NetworkPlan:
    """The plans of a network's layers and directions, in the order in which they run."""

    layers: tuple[LayerPlan, ...]

    def __str__(self) -> str:
        return "\n".join(str(layer) for layer in self.layers)


def _size(count: int) -> str:
    return f"{count / 1024:.1f} kB" if count < 1024**2 else f"{count / 1024**2:.1f} MB"
