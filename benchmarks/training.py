"""Time of a whole training step, ours and those of the peers, in one process in turns.

    python benchmarks/training.py [--only WORKLOAD ...] [--peers eager channels-last compile keras scikit]
                                  [--rounds 15] [--steps 5]

A step fetches a mini-batch, runs forward and backward, and changes the parameters. A round runs so many steps of each;
the table shows milliseconds, medians over the rounds. ``mixed`` is our step with Precision='mixed'. ``ratio`` tells how
many times faster we are, in single precision, than the fastest PyTorch. ``limit`` is the time of the multiplications at
the measured rate of matrix products plus that of the values at the measured rate of memory, each product and each value
counted once.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from contenders import PEERS, mlnet_step
from harness import Table, medians, optional, times_faster
from limits import Machine
from networks import WORKLOADS

from mlnet.engines.select import select_engine

TORCH = ["eager", "channels-last", "compile"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    modules = {name: optional(name) for name in dict.fromkeys(PEERS[peer][0] for peer in arguments.peers)}
    peers = [peer for peer in arguments.peers if modules[PEERS[peer][0]] is not None]
    best = select_engine().name
    machine = Machine()
    print(machine)
    ours = ["numpy"] if best == "numpy" else ["numpy", best]
    if best != "numpy" and select_engine().library.has_bfloat16:  # type: ignore[attr-defined]
        ours.append("mixed")
    table = Table("milliseconds a step", [*ours, *peers, "ratio", "limit"])
    for name in arguments.only:
        workload = WORKLOADS[name]()
        steps = {
            engine: mlnet_step(
                workload, "none" if engine == "numpy" else "auto", "mixed" if engine == "mixed" else "single"
            )
            for engine in ours
        }
        for peer in peers:
            module, make = PEERS[peer]
            step = make(workload, modules[module])
            if step is not None:
                steps[peer] = step
        found = medians(steps, arguments.rounds, arguments.steps)
        row: dict[str, float | None] = {key: 1000 * values[0] for key, values in found.items()}
        table.row(name, {**row, "ratio": times_faster(found, best, TORCH), "limit": 1000 * machine.limit(workload)})


if __name__ == "__main__":
    main()
