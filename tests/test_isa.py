"""Each instruction set that this processor has: chosen by name, as wide as it says, and right."""

import ast
import functools
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fastrnn import _isa, ops

TESTS = Path(__file__).parent
LANES = {"base": (4, False), "v3": (8, True), "v4": (16, True)}


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_best_available_is_loaded():
    requested = os.environ.get("FASTRNN_ISA")
    assert ops.build_info()["instruction_set"] == (requested or _isa.available()[-1])


@pytest.mark.parametrize("name", _isa.available())
def test_each_is_loaded_by_name_and_compiled_as_wide_as_it_should(name):
    code = "from fastrnn import ops; print(ops.build_info())"
    info = eval(python(code, FASTRNN_ISA=name).stdout)  # a dict of plain values, printed by us
    assert info["instruction_set"] == name
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        lanes, fused = LANES[name]
        assert (info["float32_lanes"], info["float64_lanes"]) == (lanes, lanes // 2)
        assert info["fused_multiply_add"] is fused


@functools.cache
def disassembled(name):
    path = importlib.util.find_spec(f"fastrnn._isa._{name}").origin
    command = ["objdump", "--disassemble", "--no-show-raw-insn", path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def count(name, instruction):
    """Count a module's instructions by what the pattern names and the last register's kind."""
    found = re.findall(rf"\b{instruction} .*%([xyz]mm)\d+$", disassembled(name), re.MULTILINE)
    return Counter((register, element) for element, register in found)


def fused_multiply_adds(name):
    """Count the module's multiply-add instructions by register and element: {("zmm", "ps"): n}."""
    return count(name, r"vfn?m(?:add|sub)\d+([ps][sd])")


@pytest.mark.parametrize("name", [n for n in _isa.built() if n != "base"])
def test_every_multiply_add_is_as_wide_as_the_instruction_set(name):
    """A kernel that silently became scalar or narrow would pass every test of its numbers.

    It needs objdump, which comes with the assembler that every compiler here needs.
    """
    counts = fused_multiply_adds(name)
    wide = {"v3": "ymm", "v4": "zmm"}[name]
    assert counts[wide, "ps"] > 1000
    assert counts[wide, "pd"] > 1000
    assert {key: n for key, n in counts.items() if key[0] != wide} == {}


@pytest.mark.parametrize("name", [n for n in _isa.built() if n != "base"])
def test_every_product_of_bfloat16_is_512_bits_wide(name):
    """The v4 module holds them where its compiler knows them, for processors that have them."""
    counts = count(name, "(vdpbf16ps)")
    assert set(counts) <= {("zmm", "vdpbf16ps")} if name == "v4" else not counts
    if name == "v4" == ops.build_info()["instruction_set"]:
        assert (counts.total() > 100) >= (ops.build_info()["bfloat16"] == "dot product")


def test_asking_for_what_is_not_there_is_an_error():
    result = python("import fastrnn", FASTRNN_ISA="v9")
    assert result.returncode == 1
    assert "FASTRNN_ISA=v9 was requested but not built; available: " in result.stderr


def test_a_lacking_feature_is_named(monkeypatch):
    monkeypatch.setattr(_isa._cpu, "missing_features", lambda name: ["avx512vl"] * (name == "v4"))
    if "v4" not in _isa.built():
        pytest.skip("not built for x86-64")
    others = ", ".join(name for name in _isa.built() if name != "v4")
    with pytest.raises(ImportError, match=rf"lacks avx512vl; available: {others}$"):
        _isa.load("v4")


@pytest.mark.parametrize("name", _isa.available()[:-1])
def test_the_others_pass_the_kernel_tests_too(name):
    files = ["test_kernels.py", "test_gradients.py", "test_invariance.py", "test_bfloat16.py"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files],
        cwd=TESTS,
        env=os.environ | {"FASTRNN_ISA": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:]


def test_the_stub_names_what_the_modules_have():
    stub = ast.parse((Path(_isa.__file__).parent / "_kernels.pyi").read_text(encoding="utf-8"))
    declared = {
        node.name: [argument.arg for argument in node.args.args]
        for node in stub.body
        if isinstance(node, ast.FunctionDef)
    }
    classes = {n.name for n in stub.body if isinstance(n, ast.ClassDef) and n.name[0] != "_"}
    for name in _isa.available():
        module = _isa.load(name)
        assert set(declared) | classes == {n for n in dir(module) if not n.startswith("_")}
        for function, arguments in declared.items():
            signature = getattr(module, function).__doc__.split("\n")[0]
            shown = re.findall(r"(\w+): ", signature)
            assert shown == arguments, function
