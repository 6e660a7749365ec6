"""First, second and third derivatives by mlnet and by PyTorch, in double precision with random weights."""

from __future__ import annotations

import numpy as np
import torch

from mlnet import dlarray, dlfeval, dlgradient


def _weights(shape, order):
    return np.random.default_rng(100 + order).uniform(0.5, 1.5, tuple(shape)) * np.where(order % 2, 1, -1)


def by_mlnet(function, arrays, orders):
    """Return the value and, for each order, the gradients of a weighted sum of what came before."""

    def evaluate(*variables):
        found = [function(*variables)]
        value, kept = found[0], []
        total = np.sum(value * _weights(value.shape, 0))
        for order in range(1, orders + 1):
            gradients = dlgradient(total, list(variables), EnableHigherDerivatives=True)
            kept.append(gradients)
            total = sum(np.sum(each * _weights(each.shape, order)) for each in gradients)
        return value, kept

    value, kept = dlfeval(evaluate, *map(dlarray, arrays))
    return value.extractdata(), [[each.extractdata() for each in row] for row in kept]


def by_torch(function, arrays, orders):
    """Return the same by PyTorch."""
    variables = [torch.tensor(each, requires_grad=True) for each in arrays]
    value = function(*variables)
    total = (value * torch.tensor(_weights(value.shape, 0))).sum()
    kept = []
    for order in range(1, orders + 1):
        if total.requires_grad:
            gradients = torch.autograd.grad(total, variables, create_graph=True, allow_unused=True)
        else:
            gradients = [None] * len(variables)
        gradients = [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, variables, strict=True)]
        kept.append(gradients)
        total = sum((each * torch.tensor(_weights(each.shape, order))).sum() for each in gradients)
    return value.detach().numpy(), [[each.numpy(force=True) for each in row] for row in kept]


def check(ours, theirs, arrays, orders=2):
    """Fail where values or derivatives differ, or where an argument has changed."""
    arrays = [np.asarray(each, np.float64) for each in arrays]
    before = [each.copy() for each in arrays]
    value, gradients = by_mlnet(ours, arrays, orders)
    expected_value, expected = by_torch(theirs, arrays, orders)
    np.testing.assert_allclose(value, expected_value, rtol=1e-9, atol=1e-9)
    for order, (row, expected_row) in enumerate(zip(gradients, expected, strict=True), start=1):
        for number, (found, wanted) in enumerate(zip(row, expected_row, strict=True)):
            assert found.dtype == np.float64 and found.shape == wanted.shape
            np.testing.assert_allclose(
                found, wanted, rtol=1e-6, atol=1e-6, err_msg=f"derivative {order} of argument {number}"
            )
    for given, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(given, kept)
