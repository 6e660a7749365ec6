"""Finding the library, and what happens without one that works."""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.onednn.support import LIBRARY, needs_onednn
from mlnet import featureInputLayer, fullyConnectedLayer, regressionLayer, trainingOptions, trainNetwork
from mlnet.engines.onednn import finding, library
from mlnet.engines.onednn.library import LibraryError, OutOfMemoryError, RefusedError, UnusableError, failure
from mlnet.engines.select import select, select_engine
from mlnet.errors import MissingExtraError, OptionError

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files of Linux")


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    monkeypatch.delenv("MLNET_ENGINE", raising=False)
    monkeypatch.setattr(finding, "_found", {})


def reason_for(monkeypatch, path: object) -> str:
    """Return why the library ``path`` is not used; a training works nevertheless."""
    monkeypatch.setenv("MLNET_ONEDNN", str(path))
    assert select_engine().name == "numpy"
    x = np.linspace(-1, 1, 16)[:, None]
    options = trainingOptions("sgdm", MaxEpochs=1, Verbose=False)
    trainNetwork(x, x, [featureInputLayer(1), fullyConnectedLayer(1), regressionLayer], options)
    monkeypatch.setenv("MLNET_ENGINE", "onednn")
    with pytest.raises(MissingExtraError, match="pip install mlnet"):
        select_engine()
    monkeypatch.delenv("MLNET_ENGINE")
    return select().reason


def test_a_file_that_is_missing(monkeypatch, tmp_path):
    assert "MLNET_ONEDNN" in reason_for(monkeypatch, tmp_path / "libdnnl.so.3")


@linux
@pytest.mark.parametrize("content", [b"", b"not a library" * 100])
def test_a_file_that_is_something_else(monkeypatch, tmp_path, content):
    path = tmp_path / "libdnnl.so.3"
    path.write_bytes(content)
    assert "no shared library" in reason_for(monkeypatch, path)


@linux
def test_a_library_that_is_cut_short(monkeypatch, tmp_path):
    whole = Path(ctypes.__file__)  # any file will do for the body
    head = b"\x7fELF\x02\x01\x01" + bytes(33) + struct.pack("<Q", 10**7) + bytes(10) + struct.pack("<HHH", 64, 30, 29)
    path = tmp_path / "libdnnl.so.3"
    path.write_bytes(head + whole.read_bytes())
    assert "cut short" in reason_for(monkeypatch, path)


@linux
@needs_onednn
@pytest.mark.parametrize("share", [0.2, 0.9, 0.9999])
def test_the_library_itself_cut_short(monkeypatch, tmp_path, share):
    whole = Path(LIBRARY.path).read_bytes()
    path = tmp_path / "libdnnl.so.3"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cut short" in reason_for(monkeypatch, path)


def compiled(tmp_path: Path, source: str) -> Path:
    """Return a library made of ``source``, in C."""
    (tmp_path / "fake.c").write_text(source)
    path = tmp_path / "libdnnl.so.3"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", path, tmp_path / "fake.c"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C compiler")
    return path


VERSION = """
typedef struct {{ int major, minor, patch; const char *hash; unsigned cpu, gpu; }} version;
static version it = {{ {major}, 7, 0, "", {runtime}, 0 }};
const version *dnnl_version(void) {{ return &it; }}
"""


@linux
def test_another_library(monkeypatch, tmp_path):
    assert "is not oneDNN" in reason_for(monkeypatch, compiled(tmp_path, "int nothing(void) { return 0; }"))


@linux
@pytest.mark.parametrize("major", [2, 4])
def test_another_version(monkeypatch, tmp_path, major):
    reason = reason_for(monkeypatch, compiled(tmp_path, VERSION.format(major=major, runtime=2)))
    assert f"oneDNN {major}.7.0" in reason and "3.x is needed" in reason


@linux
def test_a_library_without_threads_of_its_own(monkeypatch, tmp_path):
    assert "threads" in reason_for(monkeypatch, compiled(tmp_path, VERSION.format(major=3, runtime=8)))


@linux
def test_a_library_that_lacks_functions(monkeypatch, tmp_path):
    reason = reason_for(monkeypatch, compiled(tmp_path, VERSION.format(major=3, runtime=2)))
    assert "has no function dnnl_engine_create" in reason


@linux
def test_a_processor_without_the_instructions(monkeypatch, tmp_path):
    names = [*library._PROTOTYPES, "memory_desc_equal", "memory_desc_get_size", "primitive_desc_query_md"]
    functions = "\n".join(f"int dnnl_{name}(void) {{ return 0; }}" for name in names)
    source = VERSION.format(major=3, runtime=2) + functions + "\nint dnnl_get_effective_cpu_isa(void) { return 1; }"
    assert "no AVX2" in reason_for(monkeypatch, compiled(tmp_path, source))


@needs_onednn
def test_the_package_is_found_without_a_variable(monkeypatch):
    monkeypatch.delenv("MLNET_ONEDNN", raising=False)
    try:
        found = finding.load()
    except UnusableError as error:
        pytest.skip(f"only by MLNET_ONEDNN here: {error}")
    assert found.version.startswith("3.")
    assert finding.load() is found, "loaded once"


def test_without_a_package(monkeypatch):
    monkeypatch.delenv("MLNET_ONEDNN", raising=False)
    monkeypatch.setattr(finding, "PACKAGES", ("no-such-package-at-all",))
    monkeypatch.setattr(finding, "NAME", "libnosuchthing.so.3")
    assert select_engine().name == "numpy"
    assert "not installed" in select().reason and "pip install mlnet[fast]" in select().reason


@needs_onednn
def test_the_choice(monkeypatch):
    assert select_engine().name == "onednn"
    assert select_engine("none").name == "numpy"
    assert select("none").reason == "Acceleration='none'"
    monkeypatch.setenv("MLNET_ENGINE", "numpy")
    assert select_engine().name == "numpy"
    monkeypatch.setenv("MLNET_ENGINE", "onednn")
    assert select_engine("none").name == "onednn"


def test_a_wrong_name_of_an_engine(monkeypatch):
    monkeypatch.setenv("MLNET_ENGINE", "cuda")
    with pytest.raises(OptionError, match="numpy, onednn"):
        select_engine()


def test_statuses_become_errors():
    assert isinstance(failure("x", 1), OutOfMemoryError) and isinstance(failure("x", 1), MemoryError)
    assert "MiniBatchSize" in str(failure("x", 1))
    for status in (2, 3, 4):
        assert isinstance(failure("x", status), RefusedError)
    assert isinstance(failure("x", 5), LibraryError)
    assert "status 99" in str(failure("some_function", 99)) and "dnnl_some_function" in str(
        failure("some_function", 99)
    )


@needs_onednn
def test_the_threads_settings_of_the_user_stay(monkeypatch):
    import os

    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with library._threads_that_sleep():
        assert os.environ["GOMP_SPINCOUNT"] == "1000"
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    with library._threads_that_sleep():
        assert os.environ["GOMP_SPINCOUNT"] == "7"
    assert os.environ["GOMP_SPINCOUNT"] == "7"
