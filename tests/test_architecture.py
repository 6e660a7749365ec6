"""The folders are the architecture: arrows between rooms, what importing loads, the public names, sizes of files."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mlnet

PACKAGE = Path(mlnet.__file__).parent
ROOT = PACKAGE.parent
SEAM = {"engines/seam", "engines/select"}
FOUNDATION = {
    "errors",
    "rules",
    "options",
    "labels",
    "category_functions",
    "structure",
    "table",
    "randomness",
    "max_threads",
    "matrix_root",
    "version",
    "figures",
    "parallel",
}
FOUNDATION |= {"autodiff"}

ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "matrix_root": set(),
    "figures": {"errors"},
    "parallel": set(),
    "rules": {"errors"},
    "options": {"errors", "rules"},
    "labels": {"errors", "rules", "options"},
    "category_functions": {"errors", "rules", "options", "labels"},
    "structure": {"errors", "rules", "options"},
    "table": {"errors", "rules", "options"},
    "randomness": {"errors", "rules", "options"},
    "max_threads": {"parallel", "errors", "options"},
    "autodiff": {"parallel", "errors", "rules", "options", "structure", "table"},
    "layers": FOUNDATION,
    "data": FOUNDATION,
    "engines/seam": FOUNDATION,
    "engines/select": FOUNDATION | {"engines/seam"},
    "engines/numpy": FOUNDATION | {"engines/seam"},
    "engines/onednn": FOUNDATION | {"engines/seam", "engines/numpy"},
    "functional": FOUNDATION | {"layers"} | SEAM,
    "network": FOUNDATION | {"layers", "data", "functional"} | SEAM,
    "models": FOUNDATION | {"layers", "network"},
    "storage": FOUNDATION | {"layers", "network", "data"},
    "training": FOUNDATION | {"layers", "network", "data", "storage", "functional"} | SEAM,
    "display": FOUNDATION | {"layers", "network", "data", "storage", "training"} | SEAM,
    "conformance": FOUNDATION | {"layers", "functional", "network", "data", "storage", "training", "display"} | SEAM,
    "plotting": FOUNDATION | {"layers", "network", "data", "storage", "training", "display"} | SEAM,
    "interop": FOUNDATION | {"layers", "network", "data", "storage", "training", "display", "models"} | SEAM,
}
"""Every room with the rooms that it may import; a room may always import itself."""

ENGINE_CHOICE = {("engines/select", "engines/numpy"), ("engines/select", "engines/onednn")}
"""The arrows that are allowed inside a function only."""

OPTIONAL = {"torch", "matplotlib", "onnx", "onnxruntime", "openvino", "pandas", "PIL", "h5py", "IPython", "sklearn"}
ON_REQUEST = {"mlnet.interop.estimators"}
"""Modules that are optional packages from their first line on; nothing but a name that is asked for loads them."""
REQUIRED = {"numpy", "scipy", "tabulate"}


def room_of(module: str) -> str | None:
    """Return the room of a module given as 'mlnet.layers.input'; None for the public face, 'mlnet' itself."""
    parts = module.split(".")[1:]
    if not parts:
        return None
    if parts[0] != "engines" or len(parts) == 1:
        return parts[0]
    return "engines/seam" if parts[1] in ("base", "program", "packing") else f"engines/{parts[1]}"


def modules() -> dict[str, Path]:
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imports(path: Path, module: str) -> list[tuple[str, bool]]:
    """Return the modules that a file imports, each with whether that happens inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    in_function = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from mlnet.engines.numpy import loss` imports a module, `from mlnet.rules import Rule` a name of one
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names]
        found += [(name, id(node) in in_function) for name in names]
    return found


def wrong_arrows(module: str, found: list[tuple[str, bool]]) -> list[str]:
    room = room_of(module)
    wrong = []
    for name, is_inside in found:
        target = room_of(name) if name.split(".")[0] == "mlnet" else room
        if target is None:
            wrong.append(f"{module} imports the public face, mlnet; import the module that has the name")
        elif target not in (room, *ARROWS.get(room or "", ())) and not (is_inside and (room, target) in ENGINE_CHOICE):
            wrong.append(f"{module} imports {name}: no arrow leads from {room} to {target}")
    return wrong


def test_every_module_has_a_room():
    rooms = {room_of(module) for module in MODULES} - {None, "engines"}
    assert not rooms - set(ARROWS), "give new rooms their arrows here"


@pytest.mark.parametrize("module", [module for module in MODULES if module != "mlnet"])
def test_arrows_point_one_way(module):
    assert not wrong_arrows(module, imports(MODULES[module], module))


@pytest.mark.parametrize(
    "module, line, is_wrong",
    [
        ("mlnet.layers.input", "from mlnet.network.resolve import resolve", True),
        ("mlnet.layers.input", "from mlnet import network", True),
        ("mlnet.layers.input", "import mlnet.network.resolve", True),
        ("mlnet.layers.input", "from ..network import resolve", True),
        ("mlnet.layers.input", "from mlnet import reluLayer", True),
        ("mlnet.layers.input", "from mlnet.layers import base", False),
        ("mlnet.layers.input", "from mlnet.options import Option", False),
        ("mlnet.layers.input", "def f():\n    from mlnet.network.resolve import resolve", True),
        ("mlnet.layers.input", "import numpy", False),
        ("mlnet.training.loop", "from mlnet.engines.numpy.engine import NumpyEngine", True),
        ("mlnet.training.loop", "def f():\n    from mlnet.engines.numpy.engine import NumpyEngine", True),
        ("mlnet.training.loop", "from mlnet.engines import base", False),
        ("mlnet.engines.select", "from mlnet.engines.numpy.engine import NumpyEngine", True),
        ("mlnet.engines.select", "def f():\n    from mlnet.engines.numpy.engine import NumpyEngine", False),
        ("mlnet.engines.select", "def f():\n    from mlnet.engines.onednn.engine import OneDnnEngine", False),
        ("mlnet.engines.numpy.lstm", "def f():\n    from mlnet.engines.onednn.cells import Cell", True),
        ("mlnet.network.compile", "from mlnet.display import disp", True),
        ("mlnet.rules", "from mlnet.options import Option", True),
        ("mlnet.engines.numpy.loss", "from mlnet.layers.base import Layer", True),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path, module, line, is_wrong):
    path = tmp_path / "module.py"
    path.write_text(line)
    assert bool(wrong_arrows(module, imports(path, module))) == is_wrong


def test_rooms_have_no_circles():
    left, order = dict(ARROWS), []
    while left:
        free = [room for room, targets in left.items() if not (targets - {room}) & set(left)]
        assert free, f"these rooms import one another: {sorted(left)}"
        order += free
        for room in free:
            del left[room]
    assert order[-4:] == ["display", "conformance", "plotting", "interop"]


def test_importing_mlnet_loads_numpy_and_nothing_heavier():
    heavy = ["scipy", "tabulate", "torch", "matplotlib", "onnx", "openvino", "pandas", "PIL", "sklearn"]
    for load in ("import mlnet", "from mlnet import *"):
        code = f"import sys; {load}; print([name for name in {heavy} if name in sys.modules])"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert result.stdout.strip() == "[]", load


def test_packages_that_are_imported():
    users: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for name, is_inside in imports(path, module):
            package = name.split(".")[0]
            if package not in sys.stdlib_module_names and package not in REQUIRED | {"mlnet"}:
                users.setdefault(package, set()).add(module)
                assert is_inside or module in ON_REQUEST, f"{module} imports {package} on import of mlnet"
    assert not set(users) - OPTIONAL, "a package that pyproject.toml does not know, or that is not listed here"
    assert not [module for module, path in MODULES.items() if ON_REQUEST & {name for name, _ in imports(path, module)}]
    assert not {package: files for package, files in users.items() if len(files) > 1}


def test_all_public_names_are_listed_and_exist():
    assert list(mlnet.__all__) == sorted(set(mlnet.__all__))
    missing = [name for name in mlnet.__all__ if not hasattr(mlnet, name)]
    assert not missing
    submodules = {module.split(".")[1] for module in MODULES if "." in module}
    public = {name for name in vars(mlnet) if not name.startswith("_")} - submodules
    assert public == set(mlnet.__all__) - {"__version__"}


def test_star_import_shadows_no_builtin():
    namespace: dict[str, object] = {}
    exec("from mlnet import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(mlnet.__all__)
    assert not set(mlnet.__all__) & set(dir(builtins))


def test_public_functions_and_classes_are_documented():
    for name in set(mlnet.__all__) - {"__version__"}:
        assert (getattr(mlnet, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("folder", ["mlnet", "benchmarks", "examples"])
def test_no_file_is_longer_than_500_lines(folder):
    for path in (ROOT / folder).rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, path


def test_the_version_is_the_newest_heading_of_the_changelog():
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == mlnet.__version__
