"""lstm, gru, attention and embed: operations of the layers for sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted
from mlnet.errors import DataError, OptionError, message
from mlnet.functional.batches import entering
from mlnet.functional.options import (
    ARRAY,
    DATA_FORMAT,
    WEIGHTS_FORMAT,
    array_of,
    as_given,
    options_class,
    run_call,
    weights_of,
    with_format,
)
from mlnet.layers.base import Call, Size, same_lengths
from mlnet.options import Option, describe
from mlnet.randomness import spawn_generators
from mlnet.rules import EMPTY, choice, either, number

_ACTIVATIONS = (
    Option("StateActivationFunction", "tanh", choice("tanh", "softsign", "relu"), "Activation of the state."),
    Option("GateActivationFunction", "sigmoid", choice("sigmoid", "hard-sigmoid"), "Activation of the gates."),
)
_LstmOptions = options_class("lstm", DATA_FORMAT, WEIGHTS_FORMAT, *_ACTIVATIONS)
_GruOptions = options_class(
    "gru",
    DATA_FORMAT,
    WEIGHTS_FORMAT,
    *_ACTIVATIONS,
    Option(
        "ResetGateMode",
        "after-multiplication",
        choice("after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"),
        "Where the reset gate is applied.",
    ),
)


def lstm(
    X: Any,
    H0: Any,
    C0: Any,
    weights: Any,
    recurrentWeights: Any,
    bias: Any,
    *args: Any,
    nargout: int = 1,
    **options: Any,
) -> Any:
    """Return what a long short-term memory makes of sequences (Hochreiter and Schmidhuber, 1997).

    Parameters
    ----------
    X : dlarray
        Formatted 'CBT' or 'CT', or unformatted with DataFormat.
    H0, C0 : array (units, N) or (units, 1)
        Hidden state and cell state before the first step.
    weights, recurrentWeights, bias : array
        (4 units, channels), (4 units, units) and (4 units, 1), gates in the order input, forget, candidate, output.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    WeightsFormat : 'UC' or 'CU', optional
        'CU' where both weights are transposed. Weights that are formatted dlarrays have their own format.
    StateActivationFunction, GateActivationFunction
        As for `lstmLayer`.
    nargout : 1, 2 or 3, default 1
        With 3, return ``Y, hiddenState, cellState``; the states are (units, N) with the format 'CB'.

    Raises
    ------
    DataError
        Where X is no sequence, or sizes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, lstm
    >>> zeros = np.zeros((5, 1))
    >>> X = dlarray(np.ones((3, 2, 7)), 'CBT')
    >>> lstm(X, zeros, zeros, np.ones((20, 3)), np.ones((20, 5)), np.ones((20, 1))).shape
    (5, 2, 7)
    """
    chosen = _LstmOptions(*args, **options)
    return _recurrent("lstm", X, (H0, C0), (weights, recurrentWeights, bias), 4, chosen, nargout)


def gru(
    X: Any,
    H0: Any,
    weights: Any,
    recurrentWeights: Any,
    bias: Any,
    *args: Any,
    nargout: int = 1,
    **options: Any,
) -> Any:
    """Return what gated recurrent units make of sequences (Cho et al., 2014).

    Parameters
    ----------
    X : dlarray
        Formatted 'CBT' or 'CT', or unformatted with DataFormat.
    H0 : array (units, N) or (units, 1)
        Hidden state before the first step.
    weights, recurrentWeights, bias : array
        (3 units, channels), (3 units, units) and (3 units, 1), gates in the order reset, update, candidate; the bias
        (6 units, 1) with ResetGateMode 'recurrent-bias-after-multiplication'.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    WeightsFormat : 'UC' or 'CU', optional
        'CU' where both weights are transposed. Weights that are formatted dlarrays have their own format.
    StateActivationFunction, GateActivationFunction, ResetGateMode
        As for `gruLayer`.
    nargout : 1 or 2, default 1
        With 2, return ``Y, hiddenState``; the state is (units, N) with the format 'CB'.

    Raises
    ------
    DataError
        Where X is no sequence, or sizes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, gru
    >>> X = dlarray(np.ones((3, 2, 7)), 'CBT')
    >>> gru(X, np.zeros((5, 1)), np.ones((15, 3)), np.ones((15, 5)), np.ones((15, 1))).shape
    (5, 2, 7)
    """
    chosen = _GruOptions(*args, **options)
    return _recurrent("gru", X, (H0,), (weights, recurrentWeights, bias), 3, chosen, nargout)


def _recurrent(
    where: str,
    X: Any,
    states: tuple[Any, ...],
    parameters: tuple[Any, ...],
    gates: int,
    chosen: Any,
    nargout: int,
) -> Any:
    if nargout not in range(1, len(states) + 2):
        raise OptionError(message(where, f"nargout from 1 to {len(states) + 1}", describe(nargout)))
    data = with_format(X, chosen.DataFormat, f"{where}: X")
    if "T" not in data.dims() or "S" in data.dims():
        raise DataError(message(f"{where}: X", "sequences 'CBT' or 'CT'", f"'{data.dims()}'"))
    batch = entering(data)
    assert batch.lengths is not None
    w, r = (weights_of(each, chosen.WeightsFormat, "UC", where) for each in parameters[:2])
    b = unformatted(array_of(parameters[2], where))
    units, channels = r.shape[-1], batch.array.shape[-1]
    rows = gates * units
    biases = rows * 2 if getattr(chosen, "ResetGateMode", "").startswith("recurrent-bias") else rows
    if w.shape != (rows, channels) or r.shape != (rows, units) or b.size != biases:
        needed = f"weights {(rows, channels)}, recurrent weights {(rows, units)} and a bias of {biases} numbers"
        raise DataError(message(where, needed, f"{w.shape}, {r.shape} and {b.size}"))
    count = len(batch.lengths)
    given = []
    for state in states:
        array = unformatted(array_of(state, where))
        if array.size not in (units, units * count):
            raise DataError(message(where, f"states {(units, count)} or {(units, 1)}", f"{array.shape}"))
        given.append(np.broadcast_to(array.reshape(units, -1).transpose(), (count, units)))
    attributes: dict[str, Any] = {
        "operation": where,
        "states_in": len(states),
        "states_out": len(states),
        "output_mode": "sequence",
        "state_activation": chosen.StateActivationFunction,
        "gate_activation": chosen.GateActivationFunction,
    }
    if where == "gru":
        attributes["reset_gate_mode"] = chosen.ResetGateMode
    call = Call("recurrent_with_ports", (), attributes, time=same_lengths, outputs=1 + len(states))
    batches = [batch, *(batch._replace(array=each, lengths=None) for each in given)]
    found, _ = run_call(where, call, batches, [w, r, b.reshape(-1, 1)])
    (y, lengths), *ends = found
    results = [as_given(batch.leaving(y, Size("CT", (units,)), lengths), chosen.DataFormat)]
    results += [batch.leaving(end, Size("C", (units,)), None) for end, _ in ends]
    return results[0] if nargout == 1 else tuple(results[:nargout])


_AttentionOptions = options_class(
    "attention",
    Option("Scale", "auto", either(choice("auto"), number(0, above=True)), "Factor of the scores; 1/sqrt(size)."),
    Option("AttentionMask", "none", choice("none", "causal"), "'causal' hides later positions."),
    Option("PaddingMask", EMPTY, ARRAY, "1 for keys that are data, 0 for padding."),
    Option("DropoutProbability", 0, number(0, 1, below=True), "Share of the scores that are dropped."),
    DATA_FORMAT,
)


def attention(
    queries: Any,
    keys: Any,
    values: Any,
    numHeads: int,
    *args: Any,
    nargout: int = 1,
    **options: Any,
) -> Any:
    """Return the scaled dot-product attention of queries to keys and values (Vaswani et al., 2017).

    Parameters
    ----------
    queries, keys, values : dlarray
        Formatted 'CBT', or unformatted with DataFormat. Queries and keys have channels that numHeads divides.
    numHeads : positive integer
        Number of parts of the channels that attend by themselves.
    Scale : 'auto' or positive number, default 'auto'
        Factor of the products of queries and keys; 'auto' is ``1 / sqrt(channels / numHeads)``.
    AttentionMask : 'none' or 'causal', default 'none'
        'causal' hides later positions.
    PaddingMask : dlarray, optional
        1 for keys that are data and 0 for padding, one channel, in the format of the keys.
    DropoutProbability : number from 0 to below 1, default 0
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.
    nargout : 1 or 2, default 1
        With 2 the weights come too: an unformatted dlarray (keys, queries, heads, observations) before dropout, whose
        first dimension sums to 1.

    Raises
    ------
    DataError
        Where sizes do not fit.
    OptionError
        Where nargout or an option is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import attention, dlarray
    >>> X = dlarray(np.ones((8, 2, 5)), 'CBT')
    >>> attention(X, X, X, 2).shape
    (8, 2, 5)
    """
    where = "attention"
    if nargout not in (1, 2):
        raise OptionError(message(where, "nargout 1 or 2", describe(nargout)))
    chosen = _AttentionOptions(*args, **options)
    fmt = chosen.DataFormat
    q, k, v = (with_format(each, fmt, where) for each in (queries, keys, values))
    batches = [entering(each) for each in (q, k, v)]
    sizes = [each.array.shape[-1] for each in batches]
    if sizes[0] != sizes[1] or any(size % numHeads for size in sizes) or any(each.lengths is None for each in batches):
        needed = f"'CBT' with the same channels of queries and keys, which {numHeads} heads divide"
        raise DataError(message(where, needed, f"channels {', '.join(map(str, sizes))} and '{q.dims()}'"))
    if chosen.PaddingMask.size:
        mask = chosen.PaddingMask if chosen.PaddingMask.dims() else dlarray(chosen.PaddingMask, k.dims())
        batches.append(entering(mask.astype(q.dtype)))
    attributes = {
        "heads": int(numHeads),
        "scale": (sizes[0] / numHeads) ** -0.5 if chosen.Scale == "auto" else chosen.Scale,
        "causal": chosen.AttentionMask == "causal",
    }
    generator = None
    if chosen.DropoutProbability:
        attributes["probability"] = chosen.DropoutProbability
        generator = spawn_generators().dropout
    if nargout == 2:
        attributes["scores"] = True
    call = Call("attention", (), attributes, time=same_lengths, outputs=nargout)
    ((y, lengths), *scores), _ = run_call(where, call, batches, (), generator)
    result = as_given(batches[0].leaving(y, Size("CT", (sizes[2],)), lengths), fmt)
    return (result, np.transpose(scores[0][0], (1, 2, 3, 0))) if scores else result


_EmbedOptions = options_class("embed", DATA_FORMAT)


def embed(X: Any, weights: Any, *args: Any, **options: Any) -> dlarray:
    """Return the vectors of numbers of words.

    Parameters
    ----------
    X : dlarray
        Whole numbers from 1, with a single channel, e.g. 'CBT', formatted or with DataFormat.
    weights : array (dimension, words)
        A vector for each number; where there is one column more than words, the last is for all other numbers.
    DataFormat : text, optional
        Labels of the dimensions of unformatted data; the result is unformatted too.

    Raises
    ------
    DataError
        Where X has several channels, or numbers that are not whole or not from 1 to the number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, embed
    >>> embed(dlarray([[1, 3]], 'CB'), [[10, 20, 30], [1, 2, 3]]).extractdata()
    array([[10., 30.],
           [ 1.,  3.]])
    """
    fmt = _EmbedOptions(*args, **options).DataFormat
    data = with_format(X, fmt, "embed: X")
    w = unformatted(array_of(weights, "embed: weights"))
    batch = entering(data)
    if batch.array.shape[-1] != 1 or w.ndim != 2:
        came = f"{batch.array.shape[-1]} channels and weights {w.shape}"
        raise DataError(message("embed", "one channel and weights (dimension, words)", came))
    call = Call("word_embedding", (), {"words": w.shape[1], "strict": True})
    ((y, lengths),), _ = run_call("embed", call, [batch], [w])
    format = "CT" if batch.lengths is not None else "C"
    spatial = batch.array.shape[1:-1]
    return as_given(batch.leaving(y, Size("S" * len(spatial) + format, (*spatial, len(w))), lengths), fmt)
