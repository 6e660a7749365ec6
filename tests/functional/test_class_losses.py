"""indexcrossentropy and ctc against PyTorch, figures of MATLAB's page, and messages."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mlnet
from mlnet import DataError, OptionError, dlarray, dlfeval, dlgradient

RNG = np.random.default_rng(0)


def probabilities(*shape):
    y = np.exp(RNG.standard_normal(shape))
    return y / y.sum(0, keepdims=True)


def test_indexcrossentropy_is_the_crossentropy_of_onehot_targets():
    y, t = probabilities(5, 7), RNG.integers(1, 6, 7)
    hot = np.eye(5)[:, t - 1]
    own = mlnet.indexcrossentropy(dlarray(y, "CB"), t)
    assert own.item() == pytest.approx(mlnet.crossentropy(dlarray(y, "CB"), hot).item(), abs=1e-12)
    turned = mlnet.indexcrossentropy(y.T, t[:, None], [1, 2, 3, 4, 5], DataFormat="BC")
    weighted = mlnet.crossentropy(dlarray(y, "CB"), hot, [1, 2, 3, 4, 5])
    assert turned.item() == pytest.approx(weighted.item(), abs=1e-12)
    each = mlnet.indexcrossentropy(dlarray(y, "CB"), t[None], Reduction="none")
    assert each.dims() == "CB" and np.allclose(each.extractdata(), -np.log(y[t - 1, np.arange(7)])[None])


def test_indexcrossentropy_agrees_with_the_figure_of_the_page():
    # the seven probabilities of the targets that the page prints, and its result
    y = np.full((2, 7), 0.5)
    y[0] = [0.1837, 0.2777, 0.2571, 0.2612, 0.1963, 0.1677, 0.1582]
    assert mlnet.indexcrossentropy(dlarray(y, "CB"), np.ones((1, 7))).item() == pytest.approx(1.5620, abs=6e-5)


def test_indexcrossentropy_of_images_with_masked_targets():
    y, t = probabilities(3, 4, 2, 5).transpose(1, 2, 0, 3), RNG.integers(0, 4, (4, 2, 1, 5))
    x = torch.tensor(y, requires_grad=True)
    given = torch.tensor(t[:, :, 0])
    loss = F.nll_loss(x.log().permute(3, 2, 0, 1).contiguous(), given.permute(2, 0, 1) - 1, ignore_index=-1)
    loss.backward()

    def run(y):
        loss = mlnet.indexcrossentropy(y, t, MaskIndex=0, NormalizationFactor="mask-included")
        return loss, dlgradient(loss, y)

    own, gradient = dlfeval(run, dlarray(y, "SSCB"))
    assert own.item() == pytest.approx(loss.item(), abs=1e-12)
    assert np.allclose(gradient.extractdata(), x.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("blank", ["first", "last", 3])
def test_ctc_and_its_derivatives_are_those_of_pytorch(blank):
    y = probabilities(5, 3, 9)
    number = {"first": 0, "last": 4}.get(blank, 2)
    names = [each for each in range(5) if each != number]
    rows = [[names[0], names[0], names[2]], [names[3]], [names[1], names[2], names[3], names[3]]]
    targets, mask = np.ones((3, 4)), np.zeros((3, 4))
    for row, own, kept in zip(rows, targets, mask, strict=True):
        own[: len(row)], kept[: len(row)] = np.array(row) + 1, 1
    lengths = [9, 4, 6]
    steps = np.broadcast_to(np.arange(9) < np.array(lengths)[:, None], (5, 3, 9))
    x = torch.tensor(y, requires_grad=True)
    flat = torch.tensor([each for row in rows for each in row])
    counts = torch.tensor([len(row) for row in rows])
    loss = F.ctc_loss(x.log().permute(2, 1, 0), flat, torch.tensor(lengths), counts, number, reduction="none").mean()
    # PyTorch's derivative of ctc_loss holds behind log_softmax: it is taken there
    logits = torch.tensor(np.log(y), requires_grad=True)
    behind = F.log_softmax(logits, 0).permute(2, 1, 0)
    F.ctc_loss(behind, flat, torch.tensor(lengths), counts, number, reduction="none").mean().backward()

    def run(z):
        loss = mlnet.ctc(mlnet.softmax(dlarray(z, "CBT")), targets, steps, mask, BlankIndex=blank)
        return loss, dlgradient(loss, z)

    own, gradient = dlfeval(run, dlarray(np.log(y)))
    assert own.item() == pytest.approx(loss.item(), abs=1e-10)
    assert np.allclose(gradient.extractdata(), logits.grad.numpy(), atol=1e-10)


def test_ctc_of_formats_empty_targets_and_single():
    y = probabilities(4, 2, 6)
    targets = np.array([[2, 3], [4, 4]])
    own = mlnet.ctc(dlarray(y, "CBT"), targets, [], []).item()
    formatted = mlnet.ctc(y.transpose(2, 0, 1), dlarray(targets, "BT"), [], [], DataFormat="TCB")
    assert formatted.item() == pytest.approx(own, abs=1e-12)
    nothing = mlnet.ctc(dlarray(y, "CBT"), targets, [], np.zeros((2, 2)))
    assert nothing.item() == pytest.approx(-np.log(y[0]).sum(1).mean(), abs=1e-12)
    single = mlnet.ctc(dlarray(y.astype("single"), "CBT"), targets, [], [])
    assert single.dtype == np.float32 and single.item() == pytest.approx(own, abs=1e-5)


def test_second_derivative_of_ctc_by_differences():
    y, direction = probabilities(3, 1, 4), RNG.standard_normal((3, 1, 4))

    def gradient(y, higher=False):
        loss = mlnet.ctc(dlarray(y, "CBT"), [[2, 3]], [], [])
        return dlgradient(loss, y, EnableHigherDerivatives=higher)

    second = dlfeval(lambda y: dlgradient(np.sum(gradient(y, True) * direction), y), dlarray(y)).extractdata()
    ends = [dlfeval(gradient, dlarray(y + h * direction)).extractdata() for h in (1e-5, -1e-5)]
    assert np.allclose(second, (ends[0] - ends[1]) / 2e-5, atol=1e-6)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda y: mlnet.indexcrossentropy(y, [1, 2]), DataError, "indexcrossentropy: targets"),
        (lambda y: mlnet.indexcrossentropy(y, np.zeros((2, 6))), DataError, "integers from 1 to 4.*got 0.*MaskIndex"),
        (lambda y: mlnet.indexcrossentropy(y, np.ones((2, 5))), DataError, "numbers for Y of 4"),
        (lambda y: mlnet.ctc(y, [[1], [2]], [], []), DataError, "ctc: targets.*except the blank, 1"),
        (lambda y: mlnet.ctc(y, [[2] * 4] * 2, [], []), DataError, "ctc: Y.*at least 7 time steps"),
        (lambda y: mlnet.ctc(y, [[2]], [], []), DataError, "ctc: targets"),
        (lambda y: mlnet.ctc(y, [[2], [2]], np.ones((2, 5)), []), DataError, "ctc: YMask.*of 5 steps"),
        (lambda y: mlnet.ctc(y, [[2], [2]], [], [], BlankIndex=9), OptionError, "ctc: BlankIndex"),
        (lambda y: mlnet.ctc(np.ones((2, 2)), [[2]], [], []), DataError, "ctc: Y.*DataFormat"),
    ],
)
def test_messages_name_the_function(call, error, text):
    with pytest.raises(error, match=text):
        call(dlarray(probabilities(4, 2, 6), "CBT"))
