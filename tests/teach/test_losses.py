"""Losses and their gradients: right ones of many styles, and the mistakes in others."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ffn_train.teach import Report, check_bench, check_gradients
from ffn_train.teach.calls import Local
from ffn_train.teach.layers import functions_of_class

SOFTMAX_OF_ROWS = """
def softmax(z): return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
"""
RIGHT = {
    "mse_grad; numbers": """
def mse(y, t): return ((y - t) ** 2).mean()
def mse_grad(y, t): return 2 * (y - t) / y.size
""",
    "mse_prime; numbers": """
def mse(y_true, y_pred): return np.mean(np.power(y_true - y_pred, 2))
def mse_prime(y_true, y_pred): return 2 * (y_pred - y_true) / np.size(y_true)
""",
    "dcost; numbers": """
def cost(y_hat, y): return sum((a - b) ** 2 for a, b in zip(y_hat, y)) / 2
def dcost(y_hat, y): return [a - b for a, b in zip(y_hat, y)]
""",
    "bce_prime; 0 and 1": """
def bce(y, p): return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
def bce_prime(y, p): return ((1 - y) / (1 - p) - y / p) / y.size
""",
    "grad_logistic; -1 and 1": """
def logistic(z, t):
    assert np.all(np.abs(t) == 1)
    return np.log1p(np.exp(-t * z)).sum()
def grad_logistic(z, t): return -t / (1 + np.exp(t * z))
""",
    "ce_grad; one-hot rows": SOFTMAX_OF_ROWS
    + """
def ce(z, t): return -(t * np.log(softmax(z))).sum() / len(z)
def ce_grad(z, t): return (softmax(z) - t) / len(z)
""",
    "ce_backward; one-hot columns": """
def softmax(z): return np.exp(z) / np.exp(z).sum(0)
def ce(z, t): return -(t * np.log(softmax(z))).sum() / z.shape[1], (z, t)
def ce_backward(cache): return (softmax(cache[0]) - cache[1]) / cache[1].shape[1]
""",
    "ce_grad; one-hot rows, of probabilities": """
def ce(p, t): return -(t * np.log(p)).sum() / len(p)
def ce_grad(p, t): return (p - t) / len(p)
""",
    "softmax_loss; labels": SOFTMAX_OF_ROWS
    + """
def softmax_loss(x, y):
    p, rows = softmax(x), np.arange(len(y))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / len(y)
""",
    "nll_backward; labels": """
def nll(p, labels): return -np.log(p[np.arange(len(labels)), labels]).mean()
def nll_backward(p, labels):
    g, rows = np.zeros_like(p), np.arange(len(labels))
    g[rows, labels] = -1 / p[rows, labels] / len(labels)
    return g
""",
    "svm_loss; labels, and weights in the place of predictions": """
def svm_loss(W, X, y, reg):
    rows, scores = np.arange(len(y)), X @ W
    margins = np.maximum(scores - scores[rows, y][:, None] + 1, 0)
    margins[rows, y] = 0
    over = (margins > 0).astype(float)
    over[rows, y] = -over.sum(axis=1)
    return margins.sum() / len(y) + reg * (W * W).sum(), X.T @ over / len(y) + 2 * reg * W
""",
    "kl_grad; distributions": """
def kl(p, q):
    assert np.allclose(q.sum(axis=1), 1) and np.allclose(p.sum(axis=1), 1, atol=1e-4)
    return np.sum(q * np.log(q / p))
def kl_grad(p, q): return -q / p
""",
    "Mse.backward; numbers": """
class Mse:
    def forward(self, y_true, y_pred):
        self.error = y_pred - y_true
        return (self.error ** 2).mean()
    def backward(self): return 2 * self.error / self.error.size
""",
    "SoftmaxWithLoss.backward; one-hot rows": SOFTMAX_OF_ROWS
    + """
class SoftmaxWithLoss:
    def forward(self, x, t):
        self.y, self.t = softmax(x), t
        return -(t * np.log(self.y)).sum() / len(t)
    def backward(self, dout=1): return dout * (self.y - self.t) / len(self.t)
""",
    "Loss_CCE.backward; one-hot rows": """
class Loss_CCE:
    def forward(self, y_pred, y_true): return -np.log((y_pred * y_true).sum(axis=1))
    def backward(self, dvalues, y_true): self.dinputs = -y_true / dvalues / len(dvalues)
""",
    "abs_error_grad; numbers": """
def abs_error(y, t): return np.abs(y - t)
def abs_error_grad(y, t): return np.sign(y - t)
""",
    "Mae.backward; numbers": """
class Mae:
    def forward(self, pred, target): return np.abs(pred - target).sum()
    def backward(self, pred, target): return np.sign(pred - target)
""",
}


def checked(code: str) -> Report:
    module = ModuleType("theirs")
    vars(module)["np"] = np
    exec(compile(code, "theirs", "exec"), vars(module))
    functions: dict[str, Callable[..., Any]] = {}
    for name, value in vars(module).items():
        if isinstance(value, type):
            functions |= functions_of_class(value)
        elif callable(value):
            functions[name] = value
    return check_bench(Local(functions))


@pytest.mark.parametrize("which", RIGHT)
def test_a_right_gradient_is_right_for_the_targets_that_it_is_meant_for(which: str) -> None:
    name, _, targets = which.partition("; ")
    report = checked(RIGHT[which])
    assert report.right, report
    (finding,) = report.findings
    assert finding.function == name
    assert finding.text.endswith(f"; targets: {targets.removesuffix(', of probabilities')}")
    assert ("logits z of p = softmax(z)" in finding.text) == which.endswith("of probabilities")


WRONG = [
    ("mse_grad; numbers", "/ y.size", "", "no mean over the entries"),
    ("mse_grad; numbers", "/ y.size", "/ len(y)", "a mean over the batch only"),
    ("mse_grad; numbers", "2 * (y - t)", "(y - t)", "a factor of 1/2"),
    ("mse_grad; numbers", "2 * (y - t)", "2 * (t - y)", "the sign"),
    ("mse_grad; numbers", "2 * (y - t)", "3 * (y - t)", "a factor of 1.5"),
    ("mse_prime; numbers", "(y_pred - y_true)", "(y_true - y_pred)", "the sign"),
    ("dcost; numbers", "[a - b for", "[(a - b) / len(y) for", "a mean over the batch"),
    ("bce_prime; 0 and 1", "/ y.size", "", "no mean over the batch"),
    ("bce_prime; 0 and 1", "/ y.size", "/ len(y)", "no mean over the batch"),  # for (1, N)
    ("ce_grad; one-hot rows", "- t) / len(z)", "- t)", "no mean over the batch"),
    ("ce_grad; one-hot rows, of probabilities", "(p - t)", "(t - p)", "the sign"),
    ("softmax_loss; labels", "p / len(y)", "p", "no mean over the batch"),
    ("Mse.backward; numbers", "2 * self.error", "-2 * self.error", "the sign"),
    ("SoftmaxWithLoss.backward; one-hot rows", "/ len(self.t)", "", "no mean over the batch"),
]


@pytest.mark.parametrize(("which", "right", "wrong", "mistake"), WRONG)
def test_a_factor_that_is_wrong_is_named(which: str, right: str, wrong: str, mistake: str) -> None:
    code = RIGHT[which]
    assert right in code
    report = checked(wrong.join(code.rsplit(right, 1)))
    (finding,) = report.findings
    assert finding.verdict == "wrong"
    assert finding.mistakes[0] == mistake, finding


def test_a_gradient_with_more_than_a_factor_wrong_is_shown_with_an_entry() -> None:
    report = checked("""
def mse(y, t): return ((y - t) ** 2).mean()
def mse_grad(y, t): return (y - t) ** 2
""")
    (finding,) = report.findings
    assert finding.verdict == "wrong"
    assert finding.text.startswith("no single known mistake\n  entry [")
    assert "by differences" in finding.text
    assert finding.text.endswith("(shapes (4,), (4,); targets: numbers)")


def test_a_gradient_of_another_shape_is_told_with_the_shape_that_it_needs() -> None:
    report = checked("""
def mse(y, t): return ((y - t) ** 2).sum()
def mse_grad(y, t): return (2 * (y - t)).sum(axis=0)
""")
    assert str(report) == (
        "mse_grad: wrong: it has shape (3,), it needs (4, 3), that of the predictions"
    )


def test_a_gradient_that_overwrites_the_predictions_is_told() -> None:
    report = checked("""
def half(y, t): return ((y - t) ** 2).sum() / 2
def half_grad(y, t):
    y -= t
    return y
""")
    assert report.findings[0].mistakes == ("an argument changed in place",)


def test_a_gradient_in_one_layout_of_which_only_the_other_is_right_is_wrong() -> None:
    """For (N, 1) there is no factor in either; for (1, N) the loss has one."""
    report = checked("""
def cost(A, Y): return -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / Y.shape[1]
def cost_backward(A, Y): return -(Y / A - (1 - Y) / (1 - A))
""")
    assert report.findings[0].mistakes == ("no mean over the batch",)


def test_a_loss_that_differs_between_calls_is_not_judged() -> None:
    (finding,) = checked("""
def noisy(y, t): return ((y - t) ** 2).sum() + np.random.rand()
def noisy_grad(y, t): return 2 * (y - t)
""").findings
    assert finding.verdict == "unchecked"


def test_what_is_no_loss_with_a_gradient_is_not_mentioned() -> None:
    report = checked("""
def loss(y, t): return ((y - t) ** 2).sum()
def train_loss(model, data): return model(data)
def error(x, t): return x - t, x + t
def rates(y, t): return y.sum(), t
""")
    assert report.findings == ()


def test_a_pair_of_a_program_is_a_loss_too() -> None:
    report = check_gradients(lambda y, t: ((y - t) ** 2).sum(), lambda y, t: 2 * (y - t))
    assert report.right, report
