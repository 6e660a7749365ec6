"""A physics-informed network solves Burgers' equation (Raissi, Perdikaris and Karniadakis, 2019), by Adam and L-BFGS.

``u_t + u u_x = 0.01/pi u_xx`` for x from -1 to 1 and t from 0 to 1, with ``u(x, 0) = -sin(pi x)`` and ``u(-1, t) =
u(1, t) = 0``. The solution is compared with that of differences on a fine grid.
"""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--points", type=int, default=2000)
parser.add_argument("--adam", type=int, default=300, help="iterations of Adam")
parser.add_argument("--lbfgs", type=int, default=800, help="iterations of L-BFGS")
parser.add_argument("--layers", type=int, default=5)
arguments = parser.parse_args()
VISCOSITY = 0.01 / np.pi


def model_loss(net, x, t, x0, t0, u0):
    u = forward(net, np.concatenate([x, t]))
    u_x, u_t = dlgradient(np.sum(u), x, t, EnableHigherDerivatives=True)
    u_xx = dlgradient(np.sum(u_x), x, EnableHigherDerivatives=True)
    residual = u_t + u * u_x - VISCOSITY * u_xx
    loss = l2loss(residual, np.zeros(residual.shape)) + l2loss(forward(net, np.concatenate([x0, t0])), u0)
    return loss, dlgradient(loss, net.Learnables)


def solution(x, time):
    """Return u by differences: conservative fluxes, small steps of Heun's method."""
    grid = np.linspace(-1, 1, 1001)
    h = grid[1] - grid[0]
    u = -np.sin(np.pi * grid)

    def slope(u):
        flux = np.maximum(np.maximum(u[:-1], 0) ** 2, np.minimum(u[1:], 0) ** 2) / 2 - VISCOSITY * np.diff(u) / h
        return np.concatenate([[0], -np.diff(flux) / h, [0]])

    count = round(time / (0.2 * h))
    for _ in range(count):
        step = time / count
        first = slope(u)
        u = u + step / 2 * (first + slope(u + step * first))
    return np.interp(x, grid, u)


rng(0)
random = np.random.default_rng(0)
x, t = (dlarray(random.uniform(low, 1, (1, arguments.points)).astype("single"), "CB") for low in (-1, 0))
edge = np.linspace(0, 1, 25)
start = np.linspace(-1, 1, 50)
x0 = dlarray(np.concatenate([-np.ones(25), np.ones(25), start])[None].astype("single"), "CB")
t0 = dlarray(np.concatenate([edge, edge, np.zeros(50)])[None].astype("single"), "CB")
u0 = np.concatenate([np.zeros(50), -np.sin(np.pi * start)])[None].astype("single")

block = [fullyConnectedLayer(20), tanhLayer]
net = dlnetwork([featureInputLayer(2), *block * arguments.layers, fullyConnectedLayer(1)])

average, squares = [], []
for iteration in range(1, arguments.adam + 1):
    loss, gradients = dlfeval(model_loss, net, x, t, x0, t0, u0)
    net, average, squares = adamupdate(net, gradients, average, squares, iteration, 0.005)
    if iteration % 100 == 0:
        print(f"Adam {iteration}: loss {loss.item():.4g}")
state = lbfgsState()
for iteration in range(1, arguments.lbfgs + 1):
    net, state = lbfgsupdate(net, lambda net: dlfeval(model_loss, net, x, t, x0, t0, u0), state)
    if iteration % 100 == 0:
        print(f"L-BFGS {iteration}: loss {state.Loss:.4g}")
    if state.LineSearchStatus == "failed" or state.GradientsNorm < 1e-5:
        break

places = np.linspace(-1, 1, 1001)
for time in (0.25, 0.5, 0.75, 1):
    given = dlarray(np.stack([places, np.full_like(places, time)]).astype("single"), "CB")
    u, exact = predict(net, given).extractdata()[0], solution(places, time)
    print(f"t = {time}: relative error {np.linalg.norm(u - exact) / np.linalg.norm(exact):.4f}")
