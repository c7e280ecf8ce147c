"""A task of another kind, with its loss and a score of which less is better; see test_kinds.py."""

import numpy as np

from ffn_train.nn.core import Array
from ffn_train.parts import Data, Loss, Score, Table, Task, choice, setting


class ErrorRate(Score):
    """The share of samples whose largest output is not that of their class."""

    name = "error_rate"
    symbol = "error"
    better = "lower"
    says = "share of the samples that are put in a wrong class"
    perfect = 0.0
    trivial = "naming the commonest class"
    baseline_name = "nearest mean"

    def value(self, targets: Array, outputs: Array) -> float:
        wrong: Array = targets.argmax(axis=1) != outputs.argmax(axis=1)
        return wrong.mean()  # a number of NumPy's will do

    def no_skill(self, data: Data) -> float:
        return 1 - data.y_validation[:, data.y_train.sum(axis=0).argmax()].mean()

    def baseline(self, data: Data) -> Array:
        means = data.y_train.T @ data.x_train / data.y_train.sum(axis=0)[:, None]
        apart = data.x_validation[:, None] - means
        outputs: Array = -(apart**2).sum(axis=2)
        return outputs


@choice("task", "rings")
class Rings(Task):
    """Which of three rings around the origin a point of the plane is in, as one-hot targets."""

    kind = "classification"
    score = ErrorRate()
    standardise_targets = False

    rows: int = setting("training and validation rows together", 300, at_least=10)

    def table(self, rng: np.random.Generator) -> Table:
        x = rng.standard_normal((self.rows, 2))
        ring = np.digitize(np.hypot(*x.T), (0.8, 1.5))
        return Table(x, np.eye(3)[ring], ("x1", "x2"), ("inner", "middle", "outer"))


@choice("loss", "log_loss")
class LogLoss(Loss):
    """mean -Σ_k t_k log softmax(y)_k; its gradient is (softmax(y) - t)/N."""

    kinds = ("classification",)
    trivial = "predicting the frequencies"

    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        shifted = y - y.max(axis=1, keepdims=True)
        exp = np.exp(shifted)
        total = exp.sum(axis=1, keepdims=True)
        value: float = -(targets * (shifted - np.log(total))).sum() / len(y)
        gradient: Array = (exp / total - targets) / len(y)
        return value, gradient

    def trivial_outputs(self, targets: Array) -> Array:
        return np.broadcast_to(np.log(targets.mean(axis=0)), targets.shape)
