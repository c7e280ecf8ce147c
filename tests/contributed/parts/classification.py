"""Three Gaussian blobs to be told apart: a task, its loss and its score."""

# mypy: ignore-errors

import numpy as np

from ffn_train.parts import Loss, Score, Table, Task, choice, setting

CLASSES = 3


class ErrorRate(Score):
    """Share of the rows whose largest output is not that of their class."""

    name = "error_rate"
    symbol = "error rate"
    better = "lower"
    says = "the share of the validation rows that are put in a wrong class"
    perfect = 0.0
    trivial = "always naming the class that is most frequent"
    baseline_name = "majority class"

    def value(self, targets, outputs):
        if not np.isfinite(outputs).all():
            return float("nan")
        return float(np.mean(outputs.argmax(1) != targets.argmax(1)))

    def baseline(self, data):
        counts = data.y_train.sum(0)
        return np.tile(np.eye(len(counts))[counts.argmax()], (len(data.y_validation), 1))

    def no_skill(self, data):
        return self.value(data.y_validation, self.baseline(data))


@choice("task", "blobs")
class Blobs(Task):
    """The class of a point, of 3 Gaussian blobs whose centres are ``distance`` from the origin."""

    kind = "classification"
    score = ErrorRate()
    standardise_targets = False
    drawn = True

    rows: int = setting("training and validation rows together", 300, at_least=10)
    inputs: int = setting("D, of each point", 4, at_least=2)
    distance: float = setting("of the centres from the origin", 2.0, at_least=0)

    def table(self, rng):
        centres = rng.normal(size=(CLASSES, self.inputs))
        centres *= self.distance / np.linalg.norm(centres, axis=1, keepdims=True)
        classes = rng.choice(CLASSES, size=self.rows, p=(0.5, 0.3, 0.2))
        x = centres[classes] + rng.normal(size=(self.rows, self.inputs))
        names = tuple(f"x{k}" for k in range(1, self.inputs + 1))
        return Table(x, np.eye(CLASSES)[classes], names, tuple("abc"))


@choice("loss", "log_loss")
class LogLoss(Loss):
    """mean over samples of -Σ_j t_j log softmax(y)_j; its gradient is (softmax y - t)/N."""

    kinds = ("classification",)
    trivial = "naming the classes' frequencies"

    def value_and_gradient(self, y, targets):
        shifted = y - y.max(1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return float(-(targets * logs).sum() / len(y)), (np.exp(logs) - targets) / len(y)

    def trivial_outputs(self, targets):
        share = np.maximum(targets.mean(0), np.finfo(targets.dtype).tiny)
        return np.broadcast_to(np.log(share), targets.shape)
