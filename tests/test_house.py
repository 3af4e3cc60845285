"""The rules of the house, kept by a machine: who may know whom, lengths, docstrings, version."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastrnn as fr
from fastrnn import ops

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / "python" / "fastrnn"
CPP = ROOT / "cpp"

#: What each module of the package may import of the package. A new module needs a row here.
MAY_IMPORT = {
    "_threads": set(),
    "_checks": set(),
    "_isa": {"_isa"},
    "plan": set(),
    "ops": {"_checks", "_isa", "_threads", "ops", "plan"},
    "initializers": {"_checks", "initializers"},
    "reference": {"reference_cells", "reference_options"},
    "reference_cells": {"reference_options"},
    "reference_options": set(),
    "reference_masks": set(),
    "masks": {"_checks", "ops"},
    "sharing": {"_checks"},
    "state_trees": {"_checks"},
    "embedding_gradient": {"_checks"},
    "protocol": {  # unpickling names who rebuilds
        "_checks", "embedding_gradient", "serialization", "sharing",
    },
    "memory_maps": set(),
    "ragged": {"memory_maps"},
    "kept_values": {"_checks", "ops"},
    "cell_weights": {"_checks", "ops", "protocol"},
    "training_masks": {"_checks", "initializers", "masks", "ops"},
    "recurrent": {
        "_checks", "cell_weights", "embedding_gradient", "initializers", "kept_values", "ops",
        "plan", "protocol", "sharing", "training_masks",
    },
    "dropout": {"_checks", "initializers", "masks", "protocol"},
    "merging": {"_checks"},
    "sequences": {"_checks", "protocol", "ragged"},
    "composition": {
        "_checks", "dropout", "embedding_gradient", "initializers", "protocol", "sequences",
        "sharing",
    },
    "bidirectional": {
        "_checks", "composition", "embedding_gradient", "merging", "protocol", "sequences",
    },
    "bptt": {"_checks", "protocol", "state_trees"},
    "checkpointing": {
        "_checks", "embedding_gradient", "initializers", "protocol", "sequences", "sharing",
        "state_trees",
    },
    "residual": {"_checks", "composition", "embedding_gradient", "protocol", "sequences"},
    "states": {"_checks"},
    "initial_state": {"_checks", "protocol"},
    "output_padding": {"_checks"},
    "options": {"_checks", "initializers", "merging", "output_padding"},
    "network": {
        "_checks", "bidirectional", "composition", "dropout", "embedding_gradient",
        "initial_state", "initializers", "inspection", "ops", "options", "output_padding", "plan",
        "protocol", "recurrent", "residual", "sequences", "sharing", "states",
    },
    "inspection": {
        "_checks", "bidirectional", "composition", "dropout", "kept_values", "merging", "ops",
        "protocol", "residual", "sequences",
    },
    "layers": {"_checks", "network", "ops", "options"},
    "feedforward": {
        "_checks", "embedding_gradient", "initializers", "ops", "protocol", "sharing",
    },
    "pooling": {"_checks", "protocol"},
    "standardize": {"_checks", "protocol", "ragged"},
    "safetensors_file": set(),
    "serialization": {
        "_checks", "bidirectional", "checkpointing", "composition", "dropout", "feedforward",
        "layers", "pooling", "protocol", "recurrent", "residual", "safetensors_file", "seq2seq",
        "standardize", "tied_sequential",
    },
    "seq2seq": {
        "_checks", "composition", "data", "dropout", "feedforward", "initializers", "layers",
        "memory_maps", "mini_batch", "ops", "padding", "protocol", "ragged", "seq2seq",
        "state_trees",
    },
    "tied_sequential": {"_checks", "composition", "feedforward", "protocol", "sharing"},
    "losses": {"_checks", "losses", "ops"},
    "clipping": {"_checks", "ops"},
    "optim": {"_checks", "clipping", "ops"},
    "padding": {"_checks", "ragged"},
    "mini_batch": set(),
    "parallel_streams": {"_checks", "memory_maps", "mini_batch", "ragged"},
    "data": {
        "_checks", "data", "initializers", "memory_maps", "mini_batch", "padding",
        "parallel_streams", "ragged",
    },
    "datasets": {"datasets"},
    "files": {"files"},
    "progress": {"_checks"},
    "streaming": {
        "_checks", "checkpointing", "composition", "dropout", "feedforward", "network", "ops",
        "protocol", "recurrent", "residual", "standardize",
    },
    "parallel": {"_checks"},
    "training": {
        "_checks", "bptt", "data", "initializers", "losses", "optim", "parallel", "progress",
        "protocol", "safetensors_file", "serialization", "state_trees", "training",
    },
    "models": {
        "_checks", "composition", "dropout", "feedforward", "initializers", "layers", "network",
        "pooling", "protocol", "standardize",
    },
    "estimators": {
        "_checks", "composition", "data", "estimators", "forecasting", "losses", "models",
        "optim", "protocol", "ragged", "standardize", "training",
    },
    "forecasting": {
        "_checks", "composition", "data", "dropout", "feedforward", "forecasting", "layers",
        "losses", "memory_maps", "mini_batch", "optim", "parallel", "pooling", "protocol",
        "serialization", "streaming", "training",
    },
    "text": {
        "_checks", "composition", "data", "dropout", "feedforward", "initializers", "layers",
        "losses", "optim", "parallel", "protocol", "serialization", "streaming", "text",
        "tied_sequential", "training",
    },
    "testing": {"_checks", "protocol", "state_trees"},
    "configuration": {"_isa", "_threads", "ops"},
    "threadpools": {"_isa", "_threads", "ops"},
    "cli": {
        "_isa", "cli", "configuration", "files", "forecasting", "layers", "models", "ops",
        "parallel", "protocol", "serialization", "text", "training", "",
    },
    "__main__": {"cli"},
}  # fmt: skip

#: Third-party packages that a module may import, beside the standard library.
THIRD_PARTY = {"numpy"}
OPTIONAL = {  # inside functions only
    "cli": {"matplotlib"},
    "parallel": {"mpi4py"},
    "progress": {"tqdm"},
    "threadpools": {"threadpoolctl"},
}
LAZY = {"estimators": {"sklearn"}}  # modules that `import fastrnn` does not load

PACKAGE_FILES = sorted(PYTHON.rglob("*.py"))


def module_of(path):
    return path.relative_to(PYTHON).parts[0].removesuffix(".py")


def imports(tree):
    """Yield (module, imported at top level) for each import of a file."""
    for node in ast.walk(tree):
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "fastrnn":
                yield from ((f"fastrnn.{alias.name}", top) for alias in node.names)
            else:
                yield node.module, top


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=lambda p: str(p.relative_to(PYTHON)))
def test_python_modules_know_only_whom_they_may(path):
    module = module_of(path)
    if module == "__init__":
        return  # the public names
    for name, top in imports(ast.parse(path.read_text(encoding="utf-8"))):
        first, _, rest = name.partition(".")
        if first == "fastrnn":
            known = rest.split(".")[0]
            if module == "cli" and known in fr.__all__:
                continue  # the command line uses what every user has
            assert known in MAY_IMPORT[module], f"{module} imports {name}"
        elif first not in sys.stdlib_module_names:
            allowed = THIRD_PARTY | LAZY.get(module, set())
            allowed |= set() if top else OPTIONAL.get(module, set())
            assert first in allowed, f"{module} imports {name}"


def test_the_table_has_no_rows_for_modules_that_are_gone():
    assert set(MAY_IMPORT) == {module_of(path) for path in PACKAGE_FILES} - {"__init__"}


def includes(path):
    return re.findall(r'#include\s+[<"]([^>"]+)[>"]', path.read_text(encoding="utf-8"))


CPP_FILES = [p for p in sorted(CPP.rglob("*")) if p.suffix in (".h", ".hpp", ".cpp", ".c")]
STANDARD = re.compile(r"^[a-z_]+$|^(unistd|string)\.h$")


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda p: str(p.relative_to(CPP)))
def test_cpp_files_include_only_whom_they_may(path):
    room = path.relative_to(CPP).parts[0]
    text = path.read_text(encoding="utf-8")
    for name in includes(path):
        if STANDARD.match(name):
            continue
        if room == "include":
            allowed = name in {"layer.h"}
        elif room == "kernels" and path.parent.name == "cells":
            if path.name == "functions.hpp":
                allowed = name in {"../activations.hpp", "fastrnn/layer.h"}  # the options
            else:
                allowed = name in {"cell.hpp", "functions.hpp"}
            allowed |= (path.name, name) == ("independent_rnn.hpp", "rnn.hpp")  # its activations
        elif room == "kernels":
            kernel = (CPP / "kernels" / name).is_file()
            eigen = name.startswith("Eigen/") and path.name == "lanes.hpp"
            gaps = name == "sanitizer/asan_interface.h" and path.name == "arena.hpp"
            allowed = kernel or name.startswith("fastrnn/") or eigen or gaps
        elif room == "bindings":
            own = (CPP / "bindings" / name).is_file()
            allowed = own or name.startswith(("pybind11/", "fastrnn/"))
        else:
            allowed = name == "Python.h"
        assert allowed, f"{path.relative_to(CPP)} includes {name}"
    if path.name != "lanes.hpp":
        assert "Eigen::" not in text
        assert not re.search(r"\b_mm\d*_", text)
    if room in ("include", "kernels"):
        assert "pybind11" not in text
    if room == "include":
        assert "#ifdef" not in text


def test_kernels_include_downwards_only():
    order = [
        "lanes", "activations", "blocked", "pair", "arena", "threads", "masks", "tile",
        "normalisation", "panel_layout", "panel", "sorted_rows", "schedule", "products", "affine",
        "unit_weights", "step", "step_reset_before", "step_normalised", "state_passes", "storage",
        "token_sums", "plan", "phases", "sequence", "read_tape", "bptt", "linear", "any_cell",
        "stream",
    ]  # fmt: skip
    places = {f"{name}.hpp": i for i, name in enumerate(order)}
    headers = {p.name for p in (CPP / "kernels").glob("*.hpp")}
    assert set(places) == headers
    for path in (CPP / "kernels").glob("*.hpp"):
        for name in includes(path):
            if name in places:
                assert places[name] < places[path.name], f"{path.name} includes {name}"


def test_files_fit_the_head():
    long = [
        f"{path.relative_to(ROOT)}: {count}"
        for folder in ("cpp", "python", "tests", "bench", "examples", "tools")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".pyi", ".h", ".hpp", ".cpp", ".c")
        for count in [len(path.read_text(encoding="utf-8").splitlines())]
        if count > (500 if path.suffix.startswith(".py") else 400)
    ]
    assert not long


def public_objects():
    modules = [
        fr, fr.losses, fr.optim, fr.data, fr.datasets, fr.forecasting, fr.initializers, fr.masks,
        fr.testing, fr.reference, fr.models, fr.estimators, fr.seq2seq, fr.callbacks, fr.metrics,
        fr.schedules, fr.parallel, fr.text, fr.files, ops,
    ]  # fmt: skip
    for module in modules:
        for name, item in vars(module).items():
            if name.startswith("_") or not (inspect.isclass(item) or inspect.isfunction(item)):
                continue
            if not item.__module__.startswith("fastrnn"):
                continue
            yield f"{module.__name__}.{name}", item
            if inspect.isclass(item):
                for method_name, method in vars(item).items():
                    if inspect.isfunction(method) and not method_name.startswith("_"):
                        yield f"{module.__name__}.{name}.{method_name}", method


@pytest.fixture(autouse=True, scope="module")
def whole_package():
    """Import what the package does not import by itself."""
    import fastrnn.estimators
    import fastrnn.files
    import fastrnn.reference
    import fastrnn.testing  # noqa: F401


def test_public_things_have_docstrings_and_arrays_have_shapes():
    assert not [name for name, item in public_objects() if not inspect.getdoc(item)]
    # An entry is a line `name : type` and the lines indented below it.
    entry = re.compile(r"^\w[\w, ]* : .*ndarray.*$(?:\n    .*$)*", re.MULTILINE)
    shape = re.compile(r"\([A-Za-z.][^)]*\)|[a-z]+ shape|like \w|shape")
    assert not [
        f"{name}: {found}"
        for name, item in public_objects()
        for found in entry.findall(inspect.getdoc(item) or "")
        if not shape.search(found)
    ]


def test_array_parameters_are_described():
    """A public function with a Parameters section names all its parameters there."""
    missing: list[str] = []
    for name, item in public_objects():
        text = inspect.getdoc(item) or ""
        if inspect.isclass(item) or "Parameters\n---" not in text:
            continue
        section = text.split("Parameters\n")[1].split("\n\nReturns\n")[0].split("\n\nRaises\n")[0]
        missing.extend(
            f"{name}: {parameter}"
            for parameter in inspect.signature(item).parameters
            if parameter not in ("self", "cls") and not re.search(rf"\b{parameter}\b", section)
        )
    assert not missing


def test_there_is_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == project["version"] == ops.build_info()["version"]


def test_every_cpp_test_is_in_the_build():
    cmake = (ROOT / "tests" / "cpp" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "file(GLOB test_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)" in cmake
    assert "add_executable(fastrnn_tests_${isa} ${test_sources})" in cmake


def test_nothing_is_left_open():
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    files = [*PACKAGE_FILES, *CPP_FILES]
    assert not [p.name for p in files if words.search(p.read_text(encoding="utf-8"))]


def test_import_is_cheap_and_quiet():
    code = """
import sys, threading
import fastrnn
loaded = {name.split('.')[0] for name in sys.modules}
optional = {'matplotlib', 'torch', 'onnx', 'scipy', 'pandas', 'threadpoolctl', 'joblib', 'sklearn'}
print(threading.active_count(), sorted(loaded & optional))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "1 []"
    assert result.stderr == ""
