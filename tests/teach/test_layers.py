"""Layers that are classes: their parameters and gradients are found wherever they are kept."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from ffn_train.teach import Report, check_bench
from ffn_train.teach.calls import Local
from ffn_train.teach.layers import functions_of_class

MADE_FROM_SIZES = """
class Dense:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.randn(n_out, n_in), np.zeros(n_out)
        self.dW, self.db, self.out = None, np.zeros(n_out), np.zeros(n_out)
        self.vW = np.zeros((n_out, n_in))  # of an optimizer
    def forward(self, x):
        self.x, self.out = x, np.maximum(x @ self.W.T + self.b, 0)
        return self.out
    def backward(self, dy):
        dz = dy * (self.out > 0)
        self.dW = dz.T @ self.x
        self.db = dz.sum(0)
        return dz @ self.W
"""
MADE_FROM_ARRAYS = """
class Affine:
    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]
    def backward(self, dout=1):
        self.grads[0][...] = self.x.T @ dout
        self.grads[1][...] = dout.sum(0)
        return dout @ self.params[0].T
"""
DICTIONARIES = """
class Net:
    def __init__(self, inputs, hidden, outputs):
        shapes = {"W-1": (inputs, hidden), "b-1": hidden, "W-2": (hidden, outputs), "b-2": outputs}
        self.params = {name: np.random.randn(*np.atleast_1d(n)) for name, n in shapes.items()}
        self.grads = {}
    def forward(self, x):
        p = self.params
        self.x, self.h = x, np.tanh(x @ p["W-1"] + p["b-1"])
        return self.h @ p["W-2"] + p["b-2"]
    def backward(self, dy):
        dz = dy @ self.params["W-2"].T * (1 - self.h**2)
        self.grads = {"W-1": self.x.T @ dz, "b-1": dz.sum(0), "W-2": self.h.T @ dy}
        self.grads["b-2"] = dy.sum(0)
        return dz @ self.params["W-1"].T
"""
LEARNING_RATE = """
class Base:
    def forward(self, x):
        raise NotImplementedError
    def backward(self, dy, learning_rate):
        raise NotImplementedError

class Linear(Base):
    def __init__(self, n_in, n_out):
        self.weights, self.bias = np.random.randn(n_in, n_out), np.zeros((1, n_out))
    def forward(self, x):
        self.x = x
        return x @ self.weights + self.bias
    def backward(self, dy, learning_rate):
        dx = dy @ self.weights.T
        self.weights -= learning_rate * self.x.T @ dy
        self.bias -= learning_rate * dy.sum(0)
        return dx
"""
RECURRENT = """
class Cell:
    def __init__(self, W, U, b):
        self.W, self.U, self.b = W, U, b
    def forward(self, x, h_prev):
        self.h = np.tanh(x @ self.W + h_prev @ self.U + self.b)
        self.kept = x, h_prev
        return self.h
    def backward(self, dh):
        dt = dh * (1 - self.h**2)
        self.W_grad, self.U_grad = (before.T @ dt for before in self.kept)
        self.grad_b = dt.sum(0)
        return dt @ self.W.T, dt @ self.U.T
"""
STATISTICS = """
class BatchNorm:
    def __init__(self, width):
        self.gamma, self.beta, self.mean = np.ones(width), np.zeros(width), np.zeros(width)
    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        self.sd = np.sqrt(x.var(0) + 1e-5)
        self.normed = (x - x.mean(0)) / self.sd
        return self.gamma * self.normed + self.beta
    def backward(self, x, dy):
        self.dgamma, self.dbeta = (dy * self.normed).sum(0), dy.sum(0)
        d = dy * self.gamma
        return (d - d.mean(0) - self.normed * (d * self.normed).mean(0)) / self.sd
"""
PARAMETERS_GIVEN = """
class Sigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y
    def backward(self, dy):
        return dy * self.y * (1 - self.y)

class Layer:
    def forward(self, x, W, b):
        self.kept = x, W
        return x @ W.T + b
    def backward(self, dy):
        x, W = self.kept
        return {"dx": dy @ W, "dW": dy.T @ x, "db": dy.sum(0)}
"""
NOTHING_RETURNED = """
class LayerDense:
    def __init__(self, n_inputs, n_neurons, seed=0):
        self.weights, self.biases = np.random.randn(n_inputs, n_neurons), np.zeros((1, n_neurons))
    def forward(self, inputs):
        self.inputs = inputs
        self.output = inputs @ self.weights + self.biases
    def backward(self, dvalues):
        self.dweights = self.inputs.T @ dvalues
        self.dbiases = dvalues.sum(axis=0, keepdims=True)
        self.dinputs = dvalues @ self.weights.T
"""
RIGHT = {
    "made from sizes": MADE_FROM_SIZES,
    "made from arrays": MADE_FROM_ARRAYS,
    "dictionaries": DICTIONARIES,
    "a learning rate": LEARNING_RATE,
    "recurrent": RECURRENT,
    "statistics": STATISTICS,
    "parameters given, or none": PARAMETERS_GIVEN,
    "nothing returned": NOTHING_RETURNED,
}
WRONG = {
    "a mean over the batch": (MADE_FROM_SIZES, "dz.sum(0)", "dz.mean(0)"),
    "W for Wᵀ": (MADE_FROM_ARRAYS, "dout @ self.params[0].T", "dout @ self.params[0]"),
    "act' forgotten": (DICTIONARIES, " * (1 - self.h**2)", ""),
    "the outer product the wrong way round": (
        NOTHING_RETURNED,
        "self.inputs.T @ dvalues",
        "dvalues.T @ self.inputs",
    ),
    "one sample only": (LEARNING_RATE, "dy.sum(0)", "dy[0]"),
}


def checked(source: str) -> Report:
    module = ModuleType("student")
    exec(compile(f"import numpy as np\n{source}", "student.py", "exec"), vars(module))
    functions: dict[str, Callable[..., Any]] = {}
    for value in vars(module).values():
        if isinstance(value, type):
            functions |= functions_of_class(value)
    return check_bench(Local(functions))


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_layer_is_right(name: str) -> None:
    report = checked(RIGHT[name])
    assert report.findings
    assert report.right, str(report)


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_in_a_layer_has_its_name(mistake: str) -> None:
    source, right, wrong = WRONG[mistake]
    assert right in source
    (finding,) = checked(source.replace(right, wrong)).findings
    assert mistake in finding.mistakes, str(finding)


def test_a_gradient_that_is_not_kept_is_missing() -> None:
    (finding,) = checked(MADE_FROM_SIZES.replace("self.db = dz.sum(0)", "db = dz.sum(0)")).findings
    assert finding.verdict == "wrong"
    assert "wrong: db; right: dx and dW" in str(finding)


def test_every_parameter_is_compared() -> None:
    (finding,) = checked(DICTIONARIES).findings
    assert "dx, dW_1, db_1, dW_2 and db_2 agree" in str(finding)
    (finding,) = checked(RECURRENT).findings
    assert "dx, dh_prev, dW, dU and db agree" in str(finding)
