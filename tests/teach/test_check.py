"""Checks of backward passes that others have written: right ones, and every kind of mistake."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ffn_train import functional
from ffn_train.teach import Report, check_bench, check_functions, check_gradients
from ffn_train.teach.activations import ACTIVATIONS
from ffn_train.teach.calls import Answer, Call, Local
from ffn_train.teach.networks import backward, cases, known
from tests.teach.others import NAMED, RIGHT, SCALED_BLOCK, UNNAMED
from tests.teach.planted import PLANTED, SOURCES, STYLES, Planted, changed


def checked(source: str) -> Report:
    """What the functions that a source defines come to."""
    module = ModuleType("student")
    exec(compile(source, "student.py", "exec"), vars(module))
    functions: dict[str, Callable[..., Any]] = {
        name: value
        for name, value in vars(module).items()
        if callable(value) and value.__module__ == "student"
    }
    shapes = vars(module).get("shapes")
    return check_bench(Local(functions, dict.fromkeys(functions, shapes) if shapes else {}))


def test_the_textbook_functions_are_right() -> None:
    names = ("forward_pass", "backward_pass", "backprop_two_layer", "residual_backward")
    report = check_functions([getattr(functional, name) for name in names])
    assert [(f.function, f.verdict) for f in report.findings] == [(name, "right") for name in names]
    assert report.status == 0


LOOPS = """
import numpy as np

def forward_pass(x, W, b, act):
    if x.ndim == 2:
        return np.array([forward_pass(row, W, b, act) for row in x])
    return np.array([act(W[i] @ x + b[i]) for i in range(len(W))])

def backward_pass(dy, x, W, b, act, act_grad):
    dz = dy * np.vectorize(act_grad)(x @ W.T + b)
    return dz.T @ x, dz.sum(axis=0), dz @ W
"""


def test_activations_take_the_numbers_of_a_loop() -> None:
    report = checked(LOOPS)
    assert [(f.function, f.verdict) for f in report.findings] == [
        ("forward_pass", "right"),
        ("backward_pass", "right"),
    ]


def test_truth_values_have_no_derivative() -> None:
    (finding,) = pair("x): return x > 0", "dy, x): return dy").findings
    assert finding.verdict == "wrong"
    assert pair("x): return x > 0", "dy, x): return 0 * dy").right


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("source", SOURCES)
def test_right_gradients_are_right_in_every_style(source: str, style: str) -> None:
    report = checked(SOURCES[source][style])
    assert report.right, report


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: f"{p.name}, {p.source}")
def test_a_planted_mistake_is_named(planted: Planted, style: str) -> None:
    report = checked(planted.written(style))
    names = {name for finding in report.findings for name in finding.mistakes}
    assert names == {planted.name}, report
    assert report.status == 1


@pytest.mark.parametrize("name", NAMED)
def test_a_mistake_in_another_style_is_named_once(name: str) -> None:
    (finding,) = checked(NAMED[name]).findings
    assert finding.mistakes == (name,), finding


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_of_another_convention_is_right(name: str) -> None:
    report = checked(RIGHT[name])
    assert report.right, report


def test_shapes_that_no_name_tells_are_said() -> None:
    assert str(checked(RIGHT["two batches and a number"])).endswith("; f (N, D); t ()")
    assert str(checked(RIGHT["one vector, and x last"])).endswith("; x (D,)")


def test_the_gradient_of_an_argument_y_is_dy() -> None:
    report = pair("x, y): return x * y", "g, x, y): return g * y, g * x")
    assert str(report).startswith("backward: right: dx and dy agree")


def test_an_argument_y_has_samples_in_columns_where_x_has() -> None:
    report = pair(
        "x, W, y): return y * (W @ x)",
        "g, x, W, y): return W.T @ (g * y), (g * y) @ x.T, g * (W @ x)",
    )
    assert str(report).startswith("backward: right: dx, dW and dy agree"), report
    assert str(report).endswith("; y (H, N)")


def test_an_activation_is_given_to_an_unknown_function() -> None:
    """Whose name stood for an array as well."""
    forward = "x, W, b, act): return 2 * act(x @ W.T + b) + 1"
    backward = "dy, x, W, b, slope): dz = 2 * dy * slope(x @ W.T + b); return "
    assert pair(forward, f"{backward}dz.T @ x, dz.sum(0), dz @ W").right
    (finding,) = pair(forward, f"{backward}dz.T @ x, dz.mean(0), dz @ W").findings
    assert finding.mistakes == ("a mean over the batch",)


def test_c_is_a_bias_behind_a_weight_and_may_be_a_state_before_it() -> None:
    deep = "x, W, b, c): return 2 * np.tanh(x @ W.T + b) + c"
    wrong = "dy, x, W, b, c): z = x @ W.T + b; dz = 2 * dy / np.cosh(z) ** 2; return "
    (finding,) = pair(deep, f"{wrong}dz.T @ x, dz.sum(0), dy, dz @ W").findings
    assert finding.mistakes == ("the sum over the batch forgotten",)
    assert pair(
        "x, c, W): return x @ W.T * c",
        "d, x, c, W): e = d * c; return e @ W, d * (x @ W.T), e.T @ x",
    ).right


@pytest.mark.parametrize(
    "bias", ["B", "b12", "b_in", "b_out", "bias_2", "bhh", "bout", "g_ln", "c"]
)
def test_an_argument_with_the_name_of_a_bias_is_not_a_batch(bias: str) -> None:
    wrong = f"dy, x, W, {bias}): return dy.T @ x, dy, dy @ W"
    (finding,) = pair(f"x, W, {bias}): return x @ W.T + {bias}", wrong).findings
    assert finding.mistakes == ("the sum over the batch forgotten",)


def test_act_under_its_own_name_is_not_its_derivative() -> None:
    wrong = "dy, x, W, b, f): dz = dy * f(x @ W.T + b); return dz.T @ x, dz.sum(0), dz @ W"
    (finding,) = pair("x, W, b, f): return f(x @ W.T + b)", wrong).findings
    assert finding.mistakes == ("act in place of act'",)


def test_an_array_that_is_written_into_by_choice_is_no_mistake() -> None:
    forward = "x, W, b, out=None): return np.add(x @ W.T, b, out=out)"
    report = pair(forward, "dy, x, W, b): return dy.T @ x, dy @ W")
    assert str(report) == "backward: cannot be checked: it returns 2 arrays, not dW, db, dx"


class Counting(Local):
    calls = 0

    def call(self, call: Call) -> Answer:
        self.calls += 1
        return super().call(call)


@pytest.mark.parametrize(
    ("act", "backward", "most"),
    [
        ("h", "return (dy @ W2).T @ x, (dy @ W2).sum(0), dy.T @ z, dy.sum(0), dy @ W2 @ W1", 100),
        ("h", "return dy", 8000),
        ("np.exp(h) / np.exp(h).sum(1, keepdims=True)", "return dy", 8000),
        ("np.exp(h) / np.exp(h).sum(1, keepdims=True)", "raise NotImplementedError", 8000),
    ],
)
def test_arguments_that_may_be_anything_cost_few_calls(act: str, backward: str, most: int) -> None:
    functions: dict[str, Any] = {"np": np}
    source = f"""
def forward(x, W1, b1, W2, b2, mask=None, rng=None, training=None):
    h = (x @ W1.T + b1) @ W2.T + b2
    return {act}
def backward(dy, x, W1, b1, W2, b2):
    z = x @ W1.T + b1
    {backward}
"""
    exec(source, functions)
    bench = Counting({name: functions[name] for name in ("forward", "backward")})
    assert check_bench(bench).right == (most == 100)
    assert bench.calls < most


def test_a_cache_of_forward_pass_is_that_of_the_same_arguments() -> None:
    source = RIGHT["forward_pass keeps what backward_pass needs"].replace("dact(", "dact(act(")
    report = checked(source.replace('["z"])\n    return x', '["z"]))\n    return x'))
    assert report.findings[1].mistakes == ("act' taken at the wrong place",)


@pytest.mark.parametrize("name", UNNAMED)
def test_what_no_single_known_mistake_explains_gets_no_name(name: str) -> None:
    report = checked(UNNAMED[name])
    assert report.status == 1
    assert not any(finding.mistakes for finding in report.findings), report
    assert "no single known mistake" in str(report)


def test_the_smallest_failing_input_is_shown() -> None:
    text = str(checked(UNNAMED["weight decay"]))
    assert "the smallest input that fails: x = [-0.88]; W = [[0.69]];" in text
    assert "dW[0, 0] is 0.218877, by differences 0.211977" in text
    assert text.endswith("wrong: dW; right: db and dx")


@pytest.mark.parametrize(
    ("z", "gradients", "shows"),
    [
        ("x @ W + b", "dz.T @ x, dz.sum(0), dz @ W.T", "dW has shape (3, 2), it needs (2, 3)"),
        ("x @ W + b", "np.triu(x.T @ dz), dz.sum(0), dz @ W.T", "W = [[-0.73,  0.24,  0.12], ["),
        ("W @ x + b", "dz @ x.T, dz.sum(1), W.T @ dz", "db has shape (1,), it needs (1, 1)"),
    ],
)
def test_arrays_are_shown_in_the_layout_of_the_function(z: str, gradients: str, shows: str) -> None:
    """Weights (fan_in, fan_out), and samples in columns with biases (H, 1)."""
    backward = f"dy, x, W, b): dz = dy / np.cosh({z}) ** 2; return {gradients}"
    report = pair(f"x, W, b): return np.tanh({z})", backward)
    assert shows in str(report), report


def pair(forward: str, backward: str) -> Report:
    """A layer y = tanh(W x + b) or another forward pass, with a backward pass of its own."""
    return checked(f"import numpy as np\ndef forward({forward}\ndef backward({backward}\n")


TANH = "x, W, b): return np.tanh(x @ W.T + b)"


def test_mistakes_that_no_input_tells_apart_are_named_together() -> None:
    report = checked("""
import numpy as np
def forward(x, W1, b1, W2, b2):
    return x + np.tanh(x @ W1.T + b1) @ W2.T + b2
def backward(dy, x, W1, b1, W2, b2):
    h = np.tanh(x @ W1.T + b1)
    dz = dy @ W2 * (1 - h * h)
    return dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0), dz @ W1
""")
    (finding,) = report.findings
    assert finding.mistakes == (
        "the skip part forgotten",
        "dL/dx of the branch input for that of the block",
    )
    assert "no input tells them apart" in finding.text


@pytest.mark.parametrize(
    ("right", "wrong", "names"),
    [
        ("d = -0.125 * dy", "d = dy", ("the branch's factor forgotten",)),
        ("return dy +", "return 0 * dy +", ("the skip part forgotten",)),
        ("* (h > 0)", "", ("act' forgotten",)),
        ("d.sum(0)", "dy.sum(0)", ("the branch's factor forgotten",)),
    ],
)
def test_a_mistake_with_a_branch_times_a_constant_is_named(
    right: str, wrong: str, names: tuple[str, ...]
) -> None:
    (finding,) = checked(changed(SCALED_BLOCK, (right, wrong))).findings
    assert finding.mistakes == names, finding


@pytest.mark.parametrize(
    ("forward", "mistake"),
    [
        ("x, W, b): return np.tanh(x @ W.T + b).astype('f4')", "float32 inside"),
        ("x, W, b): x *= 2; return np.tanh(x @ W.T + b)", "an argument changed in place"),
    ],
)
def test_a_mistake_of_the_forward_pass_is_named(forward: str, mistake: str) -> None:
    (finding,) = pair(forward, "dy, x, W, b): return W, b, x").findings
    assert finding.mistakes == (mistake,)
    assert "seen in forward" in finding.text


@pytest.mark.parametrize(
    ("backward", "text"),
    [
        ("dy, x, W, b): raise NotImplementedError", "not written yet; it must return dW, db and"),
        ("dy, x, W, b): ...", "returns nothing; it must return dW, db and dx"),
        ("dy, x, W, b): return 1, 2", "it returns 2 arrays, not dW, db, dx"),
        ("dy, x, W, b): return 'dW', 'db', 'dx'", "not an array of numbers"),
        ("dy, x, W, b): raise SystemExit(0)", "it ends the program"),
        ("dy, x, W, b, other, more): pass", "takes dy, x, W, b, other, more, not dy, x, W, b"),
        ("dy, x, W, b): return x", "it returns 1 array, not dW, db, dx"),
    ],
)
def test_what_cannot_be_checked_is_said(backward: str, text: str) -> None:
    report = pair(TANH, backward)
    assert not report.right
    assert text in str(report)


UNGUESSED = """
def forward(x, scale):
    return x.reshape(2, 7) * scale.reshape(2, 7)
def backward(dy, x, scale):
    return (dy * x.reshape(2, 7)).reshape(14), (dy * scale.reshape(2, 7)).reshape(14)
"""


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (UNGUESSED, 'none of the shapes that were tried; declare them: shapes = {"x": (5, 3), "sc'),
        ("shapes = {'x': (14,)}" + UNGUESSED, "forward: the shape of scale is not declared"),
        (
            "shapes = {'x': (13,), 'scale': (15,)}" + UNGUESSED,
            "forward fails: ValueError: cannot reshape array of size 13 into shape (2,7) "
            "(for x (13,), scale (15,))",
        ),
        ("def forward(): return 1.0\ndef backward(dy): return dy", "forward takes no arguments"),
        ("def forward(x): ...\ndef backward(dy, x): ...", "forward: it returns nothing"),
        ("def forward_pass(x, W): pass", "takes x, W, not x, W, b, activation_fn"),
        (
            "def backward_pass(p, q): pass",
            "takes p, q, not dy, x, W, b, activation_fn, activation_grad_fn",
        ),
        (
            "def backprop_two_layer(): pass",
            "takes no arguments, not x, W1, b1, W2, b2, activation_fn, activation_grad_fn, dy",
        ),
        ("def residual_backward(dout, x): pass", "takes dout, x, not dout"),
        ("def residual_backward(dout): return dout", "returns 1 array, not dx_input, dx_ffn"),
        (
            "def forward(x, a, act): return act(x * a)\ndef backward(p, q, r, s, t, u): pass",
            "takes p, q, r, s, t, u, not dy, x, a, act",
        ),
    ],
)
def test_a_forward_pass_that_cannot_be_checked_is_said(source: str, text: str) -> None:
    report = checked(source)
    assert report.status == 2
    assert text in str(report)


LINEAR = "def backward(dy, x, W, b): return dy.T @ x, dy.sum(0), dy @ W"
CAUSES = {  # a forward pass whose shapes are not at fault, and what is said of it
    "x, W, b): return np.log(-(x @ W.T + b) ** 2)": "is not finite (for x (5, 3), W (4, 3)",
    "x, W, b, act): return act(x @ W.T + b) / 0": "is not finite (for x (5, 3), W (4, 3)",
    "x, W, b): return np.random.randn() * (x @ W.T + b)": "differs between calls",
    "x, W, b): return (x @ W.T + b) * (np.random.rand(len(x), len(W)) > 0.5)": "differs between",
    "x, W, b): return x @ W.T + b + np.random.randn(len(W))": "differs between calls",
    "x, W, b): return ((x @ W.T + b) ** 2).mean()": "returns a number, not an array",
    "x, W, b): return str(x @ W.T + b)": "returns no array of numbers",
    "x, W, b): return np.rleu(x @ W.T + b)": "fails: AttributeError: module 'numpy' has no",
    "x, W, b): return (x @ W.T + b) @ missing": "fails: NameError: name 'missing' is not defined",
}
SHAPES = "shapes = {'x': (5, 3), 'W': (4, 3), 'b': (4,), 'act': (1,)}\n"


@pytest.mark.parametrize("shapes", ["", SHAPES])
@pytest.mark.parametrize("forward", CAUSES)
def test_of_a_forward_pass_whose_shapes_are_right_the_cause_is_said(
    forward: str, shapes: str
) -> None:
    report = checked(f"import numpy as np\n{shapes}def forward({forward}\n{LINEAR}")
    assert str(report).startswith(f"backward: cannot be checked: forward {CAUSES[forward]}"), report
    assert report.status == 2


@pytest.mark.parametrize("shapes", ["", "shapes = {'x': (5, 3), 'a': (3,)}\n"])
def test_a_forward_pass_without_derivatives_is_not_called_one_of_other_shapes(shapes: str) -> None:
    report = checked(f"""
import numpy as np
{shapes}
def forward(x, a): return np.floor(100 * np.abs(x) + 1e-6) * a
def backward(dy, x, a): return (dy * x).sum(0), dy * a
""")
    assert "cannot be checked: forward jumps where it was tried" in str(report)


MOST = "must have at most 32 dimensions and 1,000,000 entries"
NO_SHAPES = [  # what a file declares, and what is said
    ({"x": (-1, 3)}, "x must be a tuple of integers >= 1, got (-1, 3)"),
    ({"x": (0,)}, "x must be a tuple of integers >= 1, got (0,)"),
    ({"x": 5}, "x must be a tuple of integers >= 1, got 5"),
    ({"x": (None, 3)}, "x must be a tuple of integers >= 1, got (None, 3)"),
    ({"x": (14,), "scale": "14"}, "scale must be a tuple of integers >= 1, got '14'"),
    ({"x": (10**6, 2)}, f"x {MOST}, got (1000000, 2)"),
    ({"x": (1,) * 33}, f"x {MOST}, got (1, 1"),
]


@pytest.mark.parametrize(("shapes", "text"), NO_SHAPES)
def test_what_is_not_the_shape_of_an_argument_is_named(shapes: Any, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'shapes: {text}')}"):
        checked(f"shapes = {shapes!r}{UNGUESSED}")
    with pytest.raises(ValueError, match=f"^{re.escape(f'shapes: {text}')}"):
        check_gradients(lambda x, scale: x * scale, lambda dy, x, scale: (x, dy), shapes)


def test_a_variable_of_that_name_without_shapes_is_ignored() -> None:
    report = checked("shapes = {'note': 'abc'}\n" + SOURCES["layer"]["matmul"])
    assert report.right, report
    ignored: Any = {"note": None}
    assert check_gradients(lambda x: 2 * x, lambda dy, x: 2 * dy, ignored).right


def test_a_function_without_a_signature_is_said() -> None:
    assert "the arguments of forward cannot be" in str(check_gradients(dict, lambda dy: dy))


def test_a_function_that_fails_for_some_shapes_is_wrong() -> None:
    report = checked(
        SOURCES["layer"]["matmul"].replace(
            "    X,", "    assert len(b) != 2 or x.ndim == 1\n    X,"
        )
    )
    assert report.status == 1
    assert "it fails for x (2, 2), W (2, 2), b (2,), dy (2, 2): AssertionError" in str(report)


def test_a_backward_pass_without_its_forward_pass_is_not_passed_over() -> None:
    report = checked(SOURCES["layer"]["einsum"] + "\ndef backward(dy, x): return dy\n")
    assert [finding.verdict for finding in report.findings] == ["right", "unchecked"]
    assert report.status == 2


def test_another_convention_than_that_of_forward_pass_is_wrong() -> None:
    report = checked("""
import numpy as np
def forward_pass(x, W, b, act):
    return act(x @ W.T + b)
def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(x @ W + b)
    return x.T @ dz, dz.sum(0), dz @ W.T
""")
    assert [finding.verdict for finding in report.findings] == ["right", "wrong"]
    assert "another convention than forward_pass" in report.findings[1].mistakes


def test_a_bias_of_either_shape_is_no_other_convention() -> None:
    """Beside one vector, of which y would be a matrix, the forward pass takes only one of them."""
    report = checked("""
def forward_pass(x, W, b, act):
    return act(W @ x + b.reshape(-1, 1))
def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(W @ x + b.reshape(-1, 1))
    return dz @ x.T, dz.sum(axis=1), W.T @ dz
""")
    assert report.right, report


def test_functions_that_are_given_an_activation_are_a_pair_too() -> None:
    functions = functional.forward_pass, functional.backward_pass
    assert check_gradients(*functions).right

    def backward(dy: Any, x: Any, W: Any, b: Any, act: Any, slope: Any) -> Any:
        return functional.backward_pass(dy, x, W, b, act, lambda z: slope(act(z)))

    (finding,) = check_gradients(functions[0], backward).findings
    assert finding.mistakes == ("act' taken at the wrong place",)


def test_a_pair_is_checked_in_this_process() -> None:
    def double(x: Any) -> Any:
        return 2 * x

    report = check_gradients(double, lambda dy, x: 2 * dy)
    assert report.right
    assert "dx agrees with centred differences" in repr(report)
    assert check_gradients(double, lambda dy, x: -2 * dy).findings[0].mistakes == (
        "the sign reversed",
    )
    given = {"x": (2, 2, 3)}
    assert check_gradients(lambda x: x.sum(-1), lambda dy, x: x * 0 + dy[..., None], given).right


@pytest.mark.parametrize("place", range(0, len(known()), 120))
def test_the_networks_own_gradients_agree_with_differences(place: int) -> None:
    network = known()[place]
    for case in cases(network, (ACTIVATIONS["SiLU"],)):
        analytic = case.totals(backward(network.forward(case.values, case.act)))
        for name, gradient in analytic.items():
            scale = np.abs(case.right[name]).max()
            np.testing.assert_allclose(gradient, case.right[name], atol=1e-9 * max(scale, 1))


def test_activations_have_their_derivatives() -> None:
    z = np.array([-2.1, -0.4, 0.3, 1.7])
    for activation in ACTIVATIONS.values():
        slope = (activation.value(z + 1e-6) - activation.value(z - 1e-6)) / 2e-6
        np.testing.assert_allclose(activation.derivative(z), slope, atol=1e-8)
        if activation.of_value is not None:
            by_value = activation.of_value(np.asarray(activation.value(z), np.float64))
            np.testing.assert_allclose(by_value, activation.derivative(z), atol=1e-12)
