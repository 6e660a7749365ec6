"""Time of prediction, ours and that of PyTorch, ONNX Runtime and OpenVINO, in one process in turns.

    python benchmarks/prediction.py [--rounds 15] [--batches 1 128]

All predict with the same weights: the networks are trained for one step here and exported. The table shows
milliseconds for a mini-batch, medians over the rounds, and how many times faster we are than the fastest peer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Step, Table, medians, optional, times_faster
from networks import WORKLOADS, Workload, data, for_mlnet

from mlnet import categorical, exportONNXNetwork, predict, trainingOptions, trainNetwork

NETWORKS = ("cnn 32x32x3", "cnn 28x28x1", "mlp 784", "resnet-20")


def trained(workload: Workload) -> Any:
    """Return the network after one step."""
    x, y = for_mlnet(workload, *data(workload, 1))
    options = trainingOptions("sgdm", MaxEpochs=1, MiniBatchSize=workload.batch, Verbose=False)
    return trainNetwork(x, categorical(y), workload.layers, options)


def torch_step(workload: Workload, torch: Any, x: np.ndarray) -> Step:
    """Return a function that predicts with PyTorch."""
    net = workload.peer(torch.nn).eval()
    inputs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 4 else x))

    def step() -> None:
        with torch.inference_mode():
            torch.softmax(net(inputs), 1).numpy()

    return step


def onnx_step(runtime: Any, path: Path, x: np.ndarray) -> Step:
    """Return a function that predicts with ONNX Runtime."""
    runner = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = runner.get_inputs()[0].name
    inputs = np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 4 else x)
    return lambda: runner.run(None, {name: inputs})


def openvino_step(openvino: Any, path: Path, x: np.ndarray) -> Step:
    """Return a function that predicts with OpenVINO in single precision."""
    inputs = np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 4 else x)
    model = openvino.Core().read_model(str(path))
    model.reshape(list(inputs.shape))
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return lambda: request.infer([inputs])


def contenders(workload: Workload, network: Any, path: Path, batch: int, peers: dict[str, Any]) -> dict[str, Step]:
    """Return a function for each contender that predicts one mini-batch."""
    x = data(workload, -(-batch // workload.batch))[0][:batch]
    ours = x if x.ndim == 2 else np.moveaxis(x, 0, -1)
    steps: dict[str, Step] = {
        "numpy": lambda: predict(network, ours, Acceleration="none", MiniBatchSize=batch),
        "mlnet": lambda: predict(network, ours, MiniBatchSize=batch),
    }
    makers: dict[str, Callable[[Any], Step]] = {
        "torch": lambda module: torch_step(workload, module, x),
        "onnxruntime": lambda module: onnx_step(module, path, x),
        "openvino": lambda module: openvino_step(module, path, x),
    }
    return {**steps, **{name: makers[name](module) for name, module in peers.items() if module is not None}}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 128])
    arguments = parser.parse_args()
    peers = {name: optional(name) for name in ("torch", "onnxruntime", "openvino")}
    there = [name for name, module in peers.items() if module is not None]
    table = Table("milliseconds", ["numpy", "mlnet", *there, "ratio"])
    for name in NETWORKS:
        workload = WORKLOADS[name]()
        network = trained(workload)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            exportONNXNetwork(network, str(path))
            for batch in arguments.batches:
                steps = contenders(workload, network, path, batch, peers)
                found = medians(steps, arguments.rounds, 20 if batch == 1 else 3)
                row: dict[str, float | None] = {key: 1000 * values[0] for key, values in found.items()}
                table.row(f"{name}, batch {batch}", {**row, "ratio": times_faster(found, "mlnet", there)}, 3)


if __name__ == "__main__":
    main()
