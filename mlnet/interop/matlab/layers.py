"""What MATLAB has of the layers here: releases, functions, and the classes that it has under the same names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

NOT_IN_MATLAB: Mapping[str, str] = {
    "rmsNormalizationLayer": "MATLAB has no RMS normalization. Train with layerNormalizationLayer for MATLAB",
    "whiteningLayer": "MATLAB has no whitening layer. Train with batchNormalizationLayer for MATLAB",
}
"""Constructors without a model in MATLAB, with the fix."""

SINCE: Mapping[str, str] = {
    "adaptiveAveragePooling2dLayer": "R2024a",
    "attentionLayer": "R2024a",
    "averagePooling1dLayer": "R2021b",
    "convolution1dLayer": "R2021b",
    "embeddingConcatenationLayer": "R2023b",
    "featureInputLayer": "R2020b",
    "functionLayer": "R2021b",
    "geluLayer": "R2022b",
    "globalAveragePooling1dLayer": "R2021b",
    "globalMaxPooling1dLayer": "R2021b",
    "groupNormalizationLayer": "R2020b",
    "gruLayer": "R2020a",
    "identityLayer": "R2024b",
    "indexing1dLayer": "R2023b",
    "inputLayer": "R2023b",
    "instanceNormalizationLayer": "R2021a",
    "layerNormalizationLayer": "R2021a",
    "lstmProjectedLayer": "R2022b",
    "maxPooling1dLayer": "R2021b",
    "multiplicationLayer": "R2020b",
    "patchEmbeddingLayer": "R2023b",
    "permuteLayer": "R2024b",
    "positionEmbeddingLayer": "R2023b",
    "preluLayer": "R2024a",
    "reshapeLayer": "R2024b",
    "resize2dLayer": "R2020b",
    "resize3dLayer": "R2020b",
    "selfAttentionLayer": "R2023a",
    "sigmoidLayer": "R2020b",
    "sinusoidalPositionEncodingLayer": "R2023b",
    "spatialDropoutLayer": "R2024a",
    "swishLayer": "R2021a",
    "transposedConv1dLayer": "R2022a",
}
"""The releases of MATLAB that brought layers, where later than R2019b."""

OLDEST = "R2019b"
"""The oldest release that exported code is for: the first with Mean as an option of input layers."""

FUNCTIONS: Mapping[str, np.ufunc] = {
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "abs": np.absolute,
    "sign": np.sign,
    "@(X)X.^2": np.square,
    "@(X)-X": np.negative,
    "@(X1,X2)X1+X2": np.add,
    "@(X1,X2)X1-X2": np.subtract,
    "@(X1,X2)X1.*X2": np.multiply,
    "@(X1,X2)X1./X2": np.divide,
    "@(X1,X2)max(X1,X2)": np.maximum,
    "@(X1,X2)min(X1,X2)": np.minimum,
}
"""Functions by their texts in MATLAB, as func2str writes them; names of others begin with @."""


def handle_of(function: np.ufunc) -> str:
    """Return a function as a handle of MATLAB; raise ValueError where there is none."""
    for text, known in FUNCTIONS.items():
        if known is function:
            return text if text.startswith("@") else f"@{text}"
    raise ValueError


def function_of(text: str) -> np.ufunc | None:
    """Return the function of what func2str has written, or None."""
    plain = "".join(text.split())
    return FUNCTIONS.get(plain) or FUNCTIONS.get(plain.removeprefix("@"))
