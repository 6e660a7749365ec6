"""What the methods of custom layers have to do, beyond what every layer does."""

from __future__ import annotations

import numpy as np

from mlnet.autodiff.array import wrap
from mlnet.conformance.checks import MODES, Check, computing
from mlnet.conformance.trial import Case
from mlnet.layers.custom import Layer
from mlnet.layers.custom_call import LayerCall
from mlnet.layers.trial import zeros


def _layer(case: Case) -> Layer:
    (layer,) = case.inner
    assert isinstance(layer, Layer)
    return layer


@computing
def check_types(case: Case) -> None:
    """Check that forward, predict and backward return single numbers for single ones and double for double."""
    layer = _layer(case)
    names = [*(each.name for each in layer.learnables), *layer.states]
    for training in MODES.values():
        call = LayerCall(layer, case.sizes, training=training)
        for dtype in (np.float32, np.float64):
            inputs = [zeros(size, 2, formatted=call.formatted, dtype=dtype) for size in case.sizes]
            parameters = [wrap(np.asarray(getattr(layer, name), dtype)) for name in names]
            with np.errstate(all="ignore"):
                ran = call.run(inputs, parameters, np.random.default_rng(0))
                if not layer.takes_memory(call.method):
                    seeds = [np.ones_like(y._data) for y in ran.outputs]
                    ran.pullback(*seeds, wanted=(True,) * len(inputs + parameters))
            found = {f"output {n}": y.dtype for n, y in enumerate(ran.outputs, start=1)}
            found |= {f"state {name}": value.dtype for name, value in ran.states.items()}
            found |= {f"gradient {n}": each for n, each in enumerate(call.gradient_types, start=1)}
            for what, each in found.items():
                if each != dtype:
                    fix = "Constants: np.single(...), or the type of the input, X.dtype."
                    needed = f"{what} of type {np.dtype(dtype)} for inputs of that type"
                    raise AssertionError(f"{call.method}: needs {needed}, but got {each}. {fix}")


@computing
def check_reset(case: Case) -> str | None:
    """Check that resetState gives each state the value and size of a new layer."""
    layer = _layer(case)
    if not layer.states:
        return "The layer has no states."
    if not layer.has("resetState"):
        return "The layer has no method resetState."
    once = layer.with_reset_state()
    again = once.replaced(**{name: getattr(once, name) + 1 for name in once.states}).with_reset_state()
    for name in layer.states:
        if not np.array_equal(getattr(once, name), getattr(again, name)):
            raise AssertionError(f"resetState: needs to set {name} whatever it was, but has not.")
    return None


CUSTOM_CHECKS: tuple[Check, ...] = (check_types, check_reset)
