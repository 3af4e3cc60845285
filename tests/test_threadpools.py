"""threadpoolctl shows and limits fastrnn's threads, once it has been told of them."""

import shutil
import subprocess
import sys
from ctypes import CDLL
from pathlib import Path

import pytest
from threadpoolctl import LibController, threadpool_info, threadpool_limits

import fastrnn as fr
from fastrnn import _isa, ops


@pytest.fixture(autouse=True)
def three_threads():
    fr.register_with_threadpoolctl()
    before = fr.get_num_threads()
    fr.set_num_threads(3)
    yield
    fr.set_num_threads(before)


def entries():
    return [entry for entry in threadpool_info() if entry["user_api"] == "fastrnn"]


def test_there_is_one_entry_whatever_modules_are_loaded():
    for name in _isa.available():
        _isa.load(name)
    (entry,) = entries()
    build = ops.build_info()
    assert entry["internal_api"] == "fastrnn"
    assert entry["num_threads"] == 3
    assert entry["version"] == build["version"]
    assert entry["instruction_set"] == build["instruction_set"]
    assert Path(entry["filepath"]).samefile(_isa.kernels.__file__)


def test_registering_again_does_nothing():
    fr.register_with_threadpoolctl()
    ours = [kind for kind in LibController.__subclasses__() if kind.user_api == "fastrnn"]
    assert len(ours) == 1


def test_a_library_of_the_same_name_elsewhere_is_not_ours(tmp_path):
    foreign = tmp_path / Path(_isa.kernels.__file__).name
    shutil.copy(_isa.kernels.__file__, foreign)  # it even has our symbols
    CDLL(str(foreign))  # stays loaded
    (entry,) = entries()
    assert Path(entry["filepath"]).samefile(_isa.kernels.__file__)


@pytest.mark.parametrize(
    "options",
    [{"limits": 1, "user_api": "fastrnn"}, {"limits": 1}, {"limits": {"fastrnn": 1}}],
    ids=str,
)
def test_limits_hold_within_the_block_only(options):
    with threadpool_limits(**options):
        assert fr.get_num_threads() == 1
        with threadpool_limits(limits=2, user_api="fastrnn"):
            assert fr.get_num_threads() == 2
        assert fr.get_num_threads() == 1
    assert fr.get_num_threads() == 3


def test_limits_of_others_leave_fastrnn_alone():
    with threadpool_limits(limits=1, user_api="blas"):
        assert fr.get_num_threads() == 3


def test_an_error_inside_the_block_restores_too():
    with pytest.raises(KeyError), threadpool_limits(limits=1):
        raise KeyError
    assert fr.get_num_threads() == 3


def test_a_bad_limit_is_told_and_changes_nothing():
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        threadpool_limits(limits=0, user_api="fastrnn")
    assert fr.get_num_threads() == 3


@pytest.mark.parametrize("stub", ["None", "types.ModuleType('threadpoolctl')"])
def test_without_threadpoolctl_the_extra_is_named(stub):
    code = f"""
import sys, types
sys.modules["threadpoolctl"] = {stub}
import fastrnn
fastrnn.register_with_threadpoolctl()
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (
        "ImportError: register_with_threadpoolctl needs threadpoolctl 3.3 or later" in result.stderr
    )
    assert "pip install 'fastrnn[threadpoolctl]'" in result.stderr
