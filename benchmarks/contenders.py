"""One training step of mlnet and of its peers: a mini-batch, forward, backward, a step of the solver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from harness import Step
from networks import Workload, data, for_mlnet

from mlnet import rng, trainingOptions
from mlnet.engines.select import select_engine
from mlnet.network.resolve import resolve
from mlnet.randomness import spawn_generators
from mlnet.training.loop import Trainer
from mlnet.training.prepare import initialized, training_data

BATCHES = 20


def mlnet_step(workload: Workload, acceleration: str, precision: str = "single") -> Step:
    """Return a function that runs one step of mlnet."""
    x, y = for_mlnet(workload, *data(workload, BATCHES))
    rng(0)
    options = trainingOptions(
        workload.solver,
        MaxEpochs=10**6,
        MiniBatchSize=workload.batch,
        Shuffle="every-epoch",
        Verbose=False,
        Acceleration=acceleration,
        Precision=precision,
    )
    generators = spawn_generators()
    training, network = training_data(resolve(workload.layers), x, y, options)
    network = initialized(network, training.predictors, options, generators.initialization)
    trainer = Trainer(network, select_engine(acceleration), training, None, options, generators, lambda progress: "")
    iterations: Iterator[Any] = trainer.iterations()
    return lambda: next(iterations)


def torch_step(workload: Workload, torch: Any, mode: str) -> Step:
    """Return a function that runs one step of PyTorch: 'eager', 'channels-last' or 'compile'."""
    torch.manual_seed(0)
    x, y = data(workload, BATCHES)
    inputs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 4 else x))
    labels = torch.from_numpy(y)
    net = workload.peer(torch.nn)
    if mode == "channels-last":
        net = net.to(memory_format=torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    forward = torch.compile(net) if mode == "compile" else net
    if workload.solver == "adam":
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001, weight_decay=1e-4)
    else:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss_function = torch.nn.CrossEntropyLoss()
    order: list[Any] = []

    def step() -> None:
        if not order:
            order.extend(torch.randperm(len(labels)).split(workload.batch))
        index = order.pop()
        loss = loss_function(forward(inputs[index]), labels[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def keras_step(workload: Workload, keras: Any) -> Step | None:
    """Return a function that runs one step of Keras on a compiled function of its backend, None without a twin."""
    if workload.keras is None:
        return None
    x, y = data(workload, BATCHES)
    model = keras.Sequential([keras.Input(workload.size), *workload.keras(keras.layers)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4), loss)
    generator, order = np.random.default_rng(0), []

    def step() -> None:
        if not order:
            order.extend(generator.permutation(len(y)).reshape(-1, workload.batch))
        index = order.pop()
        model.train_on_batch(x[index], y[index])

    return step


def scikit_step(workload: Workload, neural: Any) -> Step | None:
    """Return a function that runs one step of scikit-learn's classifier, which has no batch normalization."""
    if len(workload.size) != 1:
        return None
    x, y = data(workload, BATCHES)
    model = neural.MLPClassifier((100, 100, 100), "logistic", solver="sgd", batch_size=workload.batch)
    starts, classes = [*range(0, len(y), workload.batch)], np.arange(workload.classes)
    number = iter(range(10**9))

    def step() -> None:
        start = starts[next(number) % len(starts)]
        rows = slice(start, start + workload.batch)
        model.partial_fit(x[rows], y[rows], classes=classes)

    return step


PEERS: dict[str, tuple[str, Callable[[Workload, Any], Step | None]]] = {
    "eager": ("torch", lambda workload, torch: torch_step(workload, torch, "eager")),
    "channels-last": (
        "torch",
        lambda workload, torch: torch_step(workload, torch, "channels-last") if len(workload.size) == 3 else None,
    ),
    "compile": ("torch", lambda workload, torch: torch_step(workload, torch, "compile")),
    "keras": ("keras", keras_step),
    "scikit": ("sklearn.neural_network", scikit_step),
}
"""The peers: the module that each needs, and what makes its step."""
