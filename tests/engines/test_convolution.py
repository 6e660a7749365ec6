"""Convolution against PyTorch, over many sizes."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine

OPERATION = NumpyEngine().operation("convolution2d")


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_pytorch(seed):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(seed)

    def pick(low, high, count):
        return tuple(int(value) for value in generator.integers(low, high + 1, count))

    (n,), (c,), (filters,) = pick(1, 9, 1), (int(generator.choice([1, 3, 8, 16])),), pick(1, 6, 1)
    size, stride, dilation, padding = pick(1, 4, 2), pick(1, 3, 2), pick(1, 3, 2), pick(0, 4, 4)
    height, width = (
        max(1, (size[i] - 1) * dilation[i] + 1 - padding[2 * i] - padding[2 * i + 1]) + pick(0, 12, 1)[0]
        for i in range(2)
    )
    x = generator.standard_normal((n, height, width, c))
    weights, bias = generator.standard_normal((*size, c, filters)), generator.standard_normal((1, 1, filters))

    workspace = Workspace()
    y, saved = OPERATION.forward(
        x,
        weights,
        bias,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_value=0.0,
        workspace=workspace,
    )
    d_y = generator.standard_normal(y.shape)
    gradients = OPERATION.backward(saved, d_y, wanted=(True,) * 3, workspace=workspace)

    theirs = [torch.tensor(array, requires_grad=True) for array in (x, weights, bias)]
    bordered = torch.nn.functional.pad(theirs[0].permute(0, 3, 1, 2), (*padding[2:], *padding[:2]))
    expected = torch.nn.functional.conv2d(
        bordered, theirs[1].permute(3, 2, 0, 1), theirs[2].ravel(), stride=stride, dilation=dilation
    ).permute(0, 2, 3, 1)
    expected.backward(torch.tensor(d_y))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    for found, tensor in zip(gradients, theirs, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-9, atol=1e-9)
