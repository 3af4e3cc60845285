"""Options in the specification against PyTorch, Keras and ONNX Runtime: stored, and live."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fastrnn.reference import CELLS, Masks, Options
from reference_cases import assert_close, bptt_on, given, run_on

VECTORS = dict(np.load(Path(__file__).parent / "data" / "option_vectors.npz"))
*CASE_LIST, VERSIONS = map(json.loads, VECTORS["index"].tolist())
CASES = {case["name"]: case for case in CASE_LIST}
NAMES = ("h0", "c0", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "unit_weights", "weight_hr")
NAMES += ("layer_norm", "dy", "dh_n", "dc_n")


def stored(name):
    return {k.removeprefix(f"{name}/"): v for k, v in VECTORS.items() if k.startswith(f"{name}/")}


def assert_agrees(case, arrays):
    """Compare everything that the peer returned."""
    given_arrays = dict.fromkeys(NAMES) | {k: v for k, v in arrays.items() if k in (*NAMES, "x")}
    cell, how = case["cell"], {"lengths": arrays["lengths"], "reverse": case["reverse"]}
    how |= {"options": Options(**case["options"])}
    how |= {"masks": Masks(recurrent=arrays.get("recurrent"))}
    got = given(run_on(cell, given_arrays, **how))
    if case["peer"] != "onnxruntime":
        got |= given(bptt_on(cell, given_arrays, **how))
    expected = {k: v for k, v in arrays.items() if k in ("y", "h_n", "c_n") or k[0] == "d"}
    expected = {k: v for k, v in expected.items() if k not in ("dy", "dh_n", "dc_n")}
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        what = f"{case['name']}/{name}"
        if array.dtype == np.float32:  # what Keras and ONNX Runtime compute in
            limit = 2e-6 * max(1, np.abs(array).max())
            np.testing.assert_allclose(got[name], array, rtol=0, atol=limit, err_msg=what)
        else:
            assert_close(got[name], array, what)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_stored_vectors(name):
    assert_agrees(CASES[name], stored(name))


def test_the_vectors_cover_what_each_peer_has():
    def cells(peer, *options, mask=False):
        cases = [case for case in CASES.values() if case["peer"] == peer]
        return {
            case["cell"]
            for case in cases
            if set(options) <= set(case["options"])
            and mask == (f"{case['name']}/recurrent" in VECTORS)
        }

    assert VERSIONS.keys() == {"torch", "keras", "onnxruntime"}
    assert cells("torch", "projection_size") == {"lstm"}
    normalised = cells("written out", "layer_norm")
    assert {"lstm", "gru", "gru_reset_before", "rnn_tanh", "independent_rnn_tanh"} < normalised
    assert cells("keras", mask=True) == {"lstm", "gru", "gru_reset_before"}
    assert cells("keras", "candidate_activation") == {"lstm", "gru", "gru_reset_before"}
    of_onnx = {"lstm", "lstm_peephole", "lstm_coupled", "gru", "gru_reset_before"}
    assert cells("onnxruntime", "gate_activation", "activation_clip") == of_onnx
    assert cells("onnxruntime", "candidate_activation") == of_onnx | {"rnn_tanh"}
    clipped = [case for case in CASES.values() if "activation_clip" in case["options"]]
    for case in clipped:  # without the clip they would be other numbers
        plain = case | {"options": case["options"] | {"activation_clip": 0}}
        with pytest.raises(AssertionError):
            assert_agrees(plain, stored(case["name"]))
    assert {case["cell"] for case in clipped} <= CELLS.keys()


def test_the_stored_vectors_are_what_the_tool_makes(monkeypatch):
    for module in ("torch", "keras", "onnxruntime", "onnx"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    arrays = importlib.import_module("make_option_vectors").compute_all()
    assert arrays.keys() == VECTORS.keys()
    assert arrays.pop("index").tolist()[:-1] == VECTORS["index"].tolist()[:-1]
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            limit = 1e-12 if array.dtype == np.float64 else 1e-6
            np.testing.assert_allclose(VECTORS[name], array, rtol=limit, atol=limit, err_msg=name)
        else:
            np.testing.assert_array_equal(VECTORS[name], array, err_msg=name)
    assert "make_option_vectors" in sys.modules
