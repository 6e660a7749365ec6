"""The one place that imports the package openvino: running the two files of an IR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlnet.errors import MissingExtraError


def is_installed() -> bool:
    """Tell whether the package can be imported."""
    try:
        import openvino  # noqa: F401
    except ImportError:
        return False
    return True


def need_openvino(function: str) -> None:
    """Raise `MissingExtraError` where the package is not installed."""
    if not is_installed():
        raise MissingExtraError(f"{function}: needs the package openvino. Use: pip install 'mlnet[openvino]'")


def read(xml: bytes, content: bytes) -> Any:
    """Return the model of two files."""
    import openvino

    weights = openvino.Tensor(np.frombuffer(content, np.uint8) if content else np.zeros(1, np.uint8))
    return openvino.Core().read_model(model=xml.decode(), weights=weights)


def runner(xml: bytes, content: bytes) -> Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]:
    """Return a function that computes a model, in single precision on the processor, from inputs in their order."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(read(xml, content), "CPU", options)

    def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = compiled([np.ascontiguousarray(x, np.float32) for x in feeds.values()])
        return [np.array(found[output]) for output in compiled.outputs]

    return run
