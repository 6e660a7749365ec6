"""A physics-informed network solves Burgers' equation (Raissi, Perdikaris and Karniadakis, 2019), by Adam and L-BFGS.

``u_t + u u_x = 0.01/pi u_xx`` for x from -1 to 1 and t from 0 to 1, with ``u(x, 0) = -sin(pi x)`` and ``u(-1, t) =
u(1, t) = 0``. The solution is compared with the exact one: the transformation of Cole and Hopf turns the equation into
that of heat, whose integral is computed by Gauss-Hermite quadrature (Basdevant and others, 1986).
"""

import argparse

import numpy as np

from mlnet import *

parser = argparse.ArgumentParser()
parser.add_argument("--points", type=int, default=2500)
parser.add_argument("--adam", type=int, default=500, help="iterations of Adam")
parser.add_argument("--lbfgs", type=int, default=1000, help="iterations of L-BFGS")
parser.add_argument("--layers", type=int, default=5, help="hidden layers of 20; the paper has 8, and 10000 points")
arguments = parser.parse_args()
VISCOSITY = 0.01 / np.pi


def model_loss(net, x, t, x0, t0, u0):
    u = forward(net, np.concatenate([x, t]))
    u_x, u_t = dlgradient(np.sum(u), x, t, EnableHigherDerivatives=True)
    u_xx = dlgradient(np.sum(u_x), x, EnableHigherDerivatives=True)
    residual = u_t + u * u_x - VISCOSITY * u_xx
    loss = l2loss(residual, np.zeros(residual.shape, "single")) + l2loss(forward(net, np.concatenate([x0, t0])), u0)
    return loss, dlgradient(loss, net.Learnables)


def solution(x, t, order=100):
    """Return the exact u: with v = x - eta, the mean of -sin(pi v) f(v) over that of f(v), eta normally distributed."""
    nodes, weights = np.polynomial.hermite.hermgauss(order)
    places = x[:, None] - np.sqrt(4 * VISCOSITY * t) * nodes
    exponent = -np.cos(np.pi * places) / (2 * np.pi * VISCOSITY)
    share = weights * np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return -np.sum(share * np.sin(np.pi * places), axis=1) / np.sum(share, axis=1)


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
    net, average, squares = adamupdate(net, gradients, average, squares, iteration, 0.005 / (1 + 0.005 * iteration))
    if iteration % 100 == 0:
        print(f"Adam {iteration}: loss {loss.item():.4g}", flush=True)
state = lbfgsState(HistorySize=50)
net = dlupdate(lambda parameter: parameter.astype("double"), net)  # the last digits of the loss lead the line search
x, t, x0, t0 = (each.astype("double") for each in (x, t, x0, t0))
for iteration in range(1, arguments.lbfgs + 1):
    net, state = lbfgsupdate(
        net, lambda net: dlfeval(model_loss, net, x, t, x0, t0, u0), state, LineSearchMethod="strong-wolfe"
    )
    if iteration % 100 == 0:
        print(f"L-BFGS {iteration}: loss {state.Loss:.4g}", flush=True)
    if state.LineSearchStatus == "failed" or state.GradientsNorm < 1e-5:
        break

places = np.linspace(-1, 1, 1001)
print("      t   relative error   largest error")
for time in (0.25, 0.5, 0.75, 1):
    given = dlarray(np.stack([places, np.full_like(places, time)]), "CB")
    u, exact = predict(net, given).extractdata()[0], solution(places, time)
    error = np.linalg.norm(u - exact) / np.linalg.norm(exact)
    print(f"   {time:.2f}   {error:14.4f}   {np.abs(u - exact).max():13.4f}")
