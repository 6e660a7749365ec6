"""Operations of the engine written so that they have derivatives of any order.

A ``definition(*arrays, saved=..., **attributes)`` takes dlarrays in the layout of engines and the record of the pair,
and returns what the pair puts out. They are used where the gradient of an operation is differentiated again, and not
before: the pairs are faster. Operations that are faster this way from the start are in `traced`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlnet.functional import selections, smooth_operations, smooth_sequences, traced
from mlnet.functional.linear_operations import constant, filtered, linear_in

Definition = Callable[..., Any]

_FILTERED = "convolution1d convolution2d convolution3d grouped_convolution2d"
_FILTERED += " transposed_convolution1d transposed_convolution2d transposed_convolution3d"
_LINEAR = "average_pooling1d average_pooling2d average_pooling3d adaptive_average_pooling global_average_pooling"
_LINEAR += (
    " global_average_pooling1d global_average_pooling3d reshape permute depth_to_space space_to_depth resize crop"
)
_LINEAR += " max_unpooling2d indexing1d"
_LINEAR_IN_WEIGHTS = "word_embedding position_embedding"
_SMOOTH = "batch_normalization batch_normalization_inference group_normalization layer_normalization rms_normalization"
_SMOOTH += " cross_channel_normalization prelu quadratic value_encoding whiten_input whitening_inference"
_SMOOTH += " weight_normalization weight_standardization embedding_concatenation patch_embedding"
_RANDOM = ("dropout", "spatial_dropout")


def _filters(name: str) -> Definition:
    return lambda x, weights, bias, saved=None, **attributes: filtered(name, x, weights, bias, attributes)


def _linear(name: str, place: int) -> Definition:
    return lambda *arrays, saved=None, **attributes: linear_in(name, place, arrays, attributes)


def _constant(name: str) -> Definition:
    return lambda *arrays, saved=None, **attributes: constant(name, arrays, attributes)


def _recurrent(name: str) -> Definition:
    return lambda *arrays, **attributes: smooth_sequences.RECURRENT[name](*arrays, **attributes)[0]


def _traced(name: str) -> Definition:
    return lambda *arrays, saved=None, **attributes: traced.OPERATIONS[name](*arrays, **attributes)


DEFINITIONS: Mapping[str, Definition] = {
    **{name: _filters(name) for name in _FILTERED.split()},
    **{name: _linear(name, 0) for name in _LINEAR.split()},
    **{name: _linear(name, 1) for name in _LINEAR_IN_WEIGHTS.split()},
    **{name: getattr(smooth_operations, name) for name in _SMOOTH.split()},
    **dict.fromkeys(_RANDOM, smooth_operations.dropout),
    **{name: _recurrent(name) for name in smooth_sequences.RECURRENT},
    **{name: _traced(name) for name in traced.OPERATIONS},
    **dict.fromkeys(("max_pooling2d", "max_pooling3d", "max_pooling2d_with_indices"), selections.max_pooling),
    **dict.fromkeys(("global_max_pooling", "global_max_pooling3d"), lambda x, **_: selections.largest_of_all(x)),
    "max_pooling1d": selections.max_pooling1d,
    "global_max_pooling1d": selections.global_max_pooling1d,
    "recurrent_with_ports": smooth_sequences.recurrent_with_ports,
    "attention": smooth_sequences.attention,
    "self_attention": smooth_sequences.self_attention,
    "position_encoding": _constant("position_encoding"),
}
"""The operations that have a definition, by their names."""
