"""Tasks, their split and standardisation, and the least-squares baseline."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ffn_train.config import places, registry
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array
from ffn_train.tasks import R2, Data, Table, Task, fit_least_squares, split
from ffn_train.tasks.synthetic import Friedman, LinearMap, Sinusoid
from ffn_train.tasks.table import Parts, standardised
from ffn_train.tasks.teacher import Teacher

r2 = R2().value
SYNTHETIC = (Sinusoid, Friedman, LinearMap)


def table_of(inputs: Any, targets: Any) -> Table:
    x, y = np.array(inputs, dtype=np.float64), np.array(targets, dtype=np.float64)
    x_names = tuple(f"a{i}" for i in range(x.shape[1]))
    return Table(x, y, x_names, tuple(f"b{i}" for i in range(y.shape[1])))


def random_table(rows: int = 50, inputs: int = 3, targets: int = 2) -> Table:
    rng = np.random.default_rng(7)
    x = 5 + 3 * rng.standard_normal((rows, inputs))
    return table_of(x, x @ rng.standard_normal((inputs, targets)) - 2)


def classes(rows: int, missing: int) -> Table:
    """Two inputs and one-hot targets of three classes, of which one may be in no row."""
    present = [index for index in range(3) if index != missing]
    drawn = np.random.default_rng(0).choice(present, rows)
    return table_of(np.random.default_rng(1).standard_normal((rows, 2)), np.eye(3)[drawn])


def halves(table: Table, validation: float = 0.2, seed: int = 0) -> Data:
    return split(table, validation=validation, rng=np.random.default_rng(seed))


def test_whole_numbers_are_taken_as_numbers() -> None:
    inputs: Any = np.arange(60).reshape(20, 3) ** 2
    targets: Any = np.arange(20)[:, None] % 7
    whole = Table(inputs, targets, ("a", "b", "c"), ("y",))
    exact = Table(inputs.astype(np.float64), targets.astype(np.float64), ("a", "b", "c"), ("y",))
    for part in ("x_train", "y_train", "x_validation", "y_validation"):
        np.testing.assert_array_equal(getattr(halves(whole), part), getattr(halves(exact), part))


def drawn(task: Task, seed: int = 0) -> Table:
    return task.table(np.random.default_rng(seed))


def linear_r2(task: Task, seed: int = 0) -> float:
    data = halves(drawn(task, seed), task.validation)
    return r2(data.y_validation, fit_least_squares(data))


# The split


@pytest.mark.parametrize(
    ("inputs", "targets", "names", "message"),
    [
        ((4, 2), (5, 1), (2, 1), "not (R, D) and (R, M)"),
        ((4,), (4, 1), (1, 1), "not (R, D) and (R, M)"),
        ((4, 2), (4,), (2, 1), "not (R, D) and (R, M)"),
        ((4, 2), (4, 1), (3, 1), "2 columns of inputs and 1 of targets have 3 and 1 names"),
        ((4, 2), (4, 1), (2, 2), "2 columns of inputs and 1 of targets have 2 and 2 names"),
    ],
)
def test_a_table_is_whole(
    inputs: tuple[int, ...], targets: tuple[int, ...], names: tuple[int, int], message: str
) -> None:
    words = [tuple(f"n{i}" for i in range(count)) for count in names]
    with pytest.raises(ValueError, match=re.escape(message)):
        Table(np.ones(inputs), np.ones(targets), *words)


def test_a_task_of_ones_own_gives_a_table() -> None:
    class Wrong(Sinusoid):
        def table(self, rng: np.random.Generator) -> Table:
            return "rows"  # type: ignore[return-value]

    with pytest.raises(SettingError, match="its table is 'rows', which is no Table"):
        Wrong().data(np.random.default_rng(0), np.random.default_rng(1))


def test_every_row_is_on_one_side_and_inputs_stay_with_their_targets() -> None:
    rows = np.arange(50.0)[:, None]
    data = halves(table_of(rows, rows * 10), validation=0.3)
    assert (len(data.x_train), len(data.x_validation)) == (35, 15)
    both_x = np.concatenate((data.x_train, data.x_validation)) * data.input_std + data.input_mean
    both_y = np.concatenate((data.y_train, data.y_validation)) * data.target_std + data.target_mean
    np.testing.assert_allclose(np.sort(both_x, axis=0), rows, atol=1e-12)
    np.testing.assert_allclose(both_y, 10 * both_x, atol=1e-11)
    assert not np.array_equal(both_x, rows)


def test_training_rows_have_mean_0_and_sd_1() -> None:
    data = halves(random_table())
    for part in (data.x_train, data.y_train):
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-13)
        np.testing.assert_allclose(part.std(axis=0), 1, atol=1e-13)
        assert part.flags.c_contiguous


def test_standardisation_knows_nothing_of_the_validation_rows() -> None:
    table = random_table()
    data = halves(table)
    known = data.x_validation * data.input_std + data.input_mean
    held = [i for i, row in enumerate(table.inputs) if np.isclose(known, row).all(axis=1).any()]
    assert len(held) == len(known)
    inputs, targets = table.inputs.copy(), table.targets.copy()
    inputs[held] += 1e6
    targets[held] *= -1e3
    changed = halves(replace(table, inputs=inputs, targets=targets))
    for name in ("x_train", "y_train", "input_mean", "input_std", "target_mean", "target_std"):
        np.testing.assert_array_equal(getattr(changed, name), getattr(data, name))
    assert (changed.x_validation > data.x_validation + 1e4).all()


def test_split_depends_on_the_seed_only() -> None:
    table = random_table()
    assert halves(table).x_train.tobytes() == halves(table).x_train.tobytes()
    assert halves(table).x_train.tobytes() != halves(table, seed=1).x_train.tobytes()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_a_constant_input_becomes_0(value: float) -> None:
    table = random_table()
    table.inputs[:, 1] = value  # the mean of many 0.1 is not 0.1, and their sd is not 0
    table.inputs[-1, 1] = 3e4  # in no training row
    last = len(table.inputs) - 1
    data = standardised(table, Parts(np.arange(last - 2), np.arange(last - 2, last + 1)))
    assert (data.x_train[:, 1] == 0).all()
    assert np.abs(data.x_validation[:, 1]).max() < 1e-20
    assert data.input_std[1] == 1e30  # another value in other rows must not drown the rest


def test_a_constant_target_is_refused() -> None:
    table = random_table()
    table.targets[:, 1] = 0.1
    with pytest.raises(SettingError, match=r"'b1' is constant in the 40 training rows"):
        halves(table)


@pytest.mark.parametrize(
    ("rows", "validation", "sides"), [(4, 0.1, "4 .* 0"), (4, 0.95, "0 .* 4"), (1, 0.5, "1 .* 0")]
)
def test_both_sides_need_a_row(rows: int, validation: float, sides: str) -> None:
    with pytest.raises(SettingError, match=rf"task.validation={validation} of {rows} rows.*"):
        halves(random_table(rows), validation)


@pytest.mark.parametrize(("value", "size"), [(1e308, "large"), (1e200, "large"), (1e-200, "small")])
def test_a_standard_deviation_past_float64_is_refused(value: float, size: str) -> None:
    table = random_table()
    table.inputs[:, 2] = np.resize([value, -value], 50)
    with pytest.raises(SettingError, match=rf"'a2' cannot be standardised.*too {size}"):
        halves(table)


def test_a_validation_row_that_overflows_is_refused() -> None:
    rows = np.linspace(0, 1e-9, 10)[:, None]
    for row in range(10):
        inputs = rows.copy()
        inputs[row] = 1e308
        with pytest.raises(SettingError, match=r"'a0' (has a value|cannot be standardised)"):
            halves(table_of(inputs, rows), 0.1)


def test_astype_casts_the_rows_and_nothing_else() -> None:
    data = halves(random_table())
    single = data.astype(np.float32)
    for name in ("x_train", "y_train", "x_validation", "y_validation"):
        assert getattr(single, name).dtype == np.float32
        np.testing.assert_allclose(getattr(single, name), getattr(data, name), rtol=1e-6)
    assert single.target_std.dtype == np.float64
    assert single.input_names == data.input_names


def test_astype_refuses_a_value_that_does_not_fit() -> None:
    data = halves(random_table())
    data.x_validation[0, 1] = 1e39
    with pytest.raises(SettingError, match="'a1' has a value that does not fit float32"):
        data.astype(np.float32)


def test_targets_of_another_kind_stay_as_they_are() -> None:
    table = classes(30, missing=-1)
    drawn: dict[str, Any] = {"validation": 0.2, "rng": np.random.default_rng(0)}
    data = split(table, **drawn, standardise_targets=False)
    assert set(data.y_train.ravel()) == set(data.y_validation.ravel()) == {0.0, 1.0}
    assert data.target_mean.tolist() == [0, 0, 0]
    assert data.target_std.tolist() == [1, 1, 1]
    assert data.x_train.mean() == pytest.approx(0, abs=1e-12)
    split(classes(30, missing=1), **drawn, standardise_targets=False)  # two classes to tell apart
    with pytest.raises(SettingError, match="'b1' is constant"):
        split(classes(30, missing=1), **drawn)
    alone = replace(table, targets=np.tile([0.0, 1, 0], (30, 1)))
    with pytest.raises(SettingError, match="'b0' is constant in the 24 training rows"):
        split(alone, **drawn, standardise_targets=False)


# Least squares and R²


def test_least_squares_is_the_normal_equations() -> None:
    rng = np.random.default_rng(3)
    table = table_of(rng.standard_normal((60, 4)), rng.standard_normal((60, 2)))
    data = halves(table)
    x = np.column_stack((np.ones(len(data.x_train)), data.x_train))
    weights = np.linalg.solve(x.T @ x, x.T @ data.y_train)
    expected = weights[0] + data.x_validation @ weights[1:]
    np.testing.assert_allclose(fit_least_squares(data), expected, atol=1e-12)


def test_least_squares_of_single_precision_data_is_computed_in_double() -> None:
    data = halves(random_table()).astype(np.float32)
    predictions = fit_least_squares(data)
    assert predictions.dtype == np.float64
    np.testing.assert_allclose(predictions, data.y_validation, atol=1e-6)


def test_least_squares_has_an_intercept() -> None:
    data = halves(random_table())
    shifted = replace(data, x_train=data.x_train + 4, x_validation=data.x_validation + 4)
    np.testing.assert_allclose(fit_least_squares(shifted), data.y_validation, atol=1e-12)


def test_least_squares_takes_the_smallest_weights_of_a_rank_deficient_table() -> None:
    table = random_table(inputs=1)
    twice = table_of(np.column_stack((table.inputs, table.inputs)), table.targets)
    np.testing.assert_allclose(
        fit_least_squares(halves(twice)), fit_least_squares(halves(table)), atol=1e-12
    )
    wide = table_of(np.random.default_rng(0).standard_normal((10, 30)), np.arange(10.0)[:, None])
    assert np.isfinite(fit_least_squares(halves(wide))).all()


def column(*values: float) -> Array:
    return np.array(values, dtype=np.float64)[:, None]


def test_r2_by_hand() -> None:
    y = column(1, 2, 3)
    assert r2(y, y) == 1
    assert r2(y, column(2, 2, 2)) == 0
    assert r2(y, column(1, 2, 4)) == pytest.approx(1 - 1 / 2)
    assert r2(y, column(3, 2, 1)) == pytest.approx(1 - 8 / 2)
    assert r2(np.hstack((y, y)), np.hstack((y, column(2, 2, 2)))) == pytest.approx(0.5)


@pytest.mark.parametrize("targets", [column(), column(1), column(0.1, 0.1, 0.1)])
def test_r2_is_nan_where_it_has_no_meaning(targets: Array) -> None:
    assert math.isnan(r2(targets, targets + 0.5))


def test_r2_of_predictions_past_any_range_warns_of_nothing() -> None:
    y = column(1, 2, 3)
    assert r2(y, column(1e200, 0, 0)) == -math.inf
    assert r2(y, column(np.inf, 0, 0)) == -math.inf
    assert math.isnan(r2(y, column(np.nan, 0, 0)))
    single = np.array([[1e30], [2e30], [3e30]], dtype=np.float32)
    assert r2(single, single) == 1


def test_r2_does_not_broadcast() -> None:
    with pytest.raises(ValueError, match="predictions are"):
        r2(column(1, 2, 3), np.array([1.0, 2.0, 3.0]))


# Synthetic tasks


@pytest.mark.parametrize("kind", SYNTHETIC)
def test_a_table_is_a_function_of_the_seed(kind: type[Any]) -> None:
    task = kind(rows=40)
    first, same, other = drawn(task), drawn(task), drawn(task, seed=1)
    assert first.inputs.tobytes() == same.inputs.tobytes()
    assert first.targets.tobytes() == same.targets.tobytes()
    assert not np.array_equal(first.targets, other.targets)
    assert first.inputs.dtype == first.targets.dtype == np.float64
    assert first.inputs.shape == (40, task.inputs)
    assert first.targets.shape == (40, 1)
    assert (len(first.input_names), first.target_names) == (task.inputs, ("y1",))


def test_no_linear_model_fits_the_sinusoid() -> None:
    assert max(linear_r2(Sinusoid(), seed) for seed in range(5)) < 0.5


def test_the_sinusoid_is_its_formula() -> None:
    task = Sinusoid(rows=500, inputs=3, waves=2, frequency=1.7, spread=0.8, noise=0)
    rng = np.random.default_rng(5)
    a = rng.standard_normal((2, 3)) * 0.8 / math.sqrt(3)
    table = drawn(task, seed=5)
    y = sum(np.sin(1.7 * table.inputs @ a_k) for a_k in a)
    np.testing.assert_allclose(table.targets[:, 0], (y - y.mean()) / y.std(), atol=1e-12)


def test_the_function_is_the_same_for_any_number_of_rows() -> None:
    few, many = (drawn(LinearMap(rows=rows, noise=0)) for rows in (20, 30))
    np.testing.assert_array_equal(few.inputs, many.inputs[:20])
    np.testing.assert_allclose(few.targets, many.targets[:20], atol=1e-14)


def test_noise_is_in_units_of_the_clean_target() -> None:
    for kind in (Sinusoid, LinearMap):
        noisy, clean = (drawn(kind(rows=20000, noise=noise)) for noise in (0.5, 0.0))
        assert clean.targets.std() == pytest.approx(1, abs=0.03)
        assert (noisy.targets - clean.targets).std() == pytest.approx(0.5, abs=0.02)


def test_friedman_is_its_formula() -> None:
    table = drawn(Friedman(rows=100, inputs=7, noise=0))
    x1, x2, x3, x4, x5 = table.inputs.T[:5]
    y = 10 * np.sin(np.pi * x1 * x2) + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5
    np.testing.assert_allclose(table.targets[:, 0], y, atol=1e-12)
    assert 0 <= table.inputs.min() < 0.05 < 0.95 < table.inputs.max() < 1
    noisy = drawn(Friedman(rows=20000, noise=2.0)), drawn(Friedman(rows=20000, noise=0))
    assert (noisy[0].targets - noisy[1].targets).std() == pytest.approx(2, abs=0.05)


def test_least_squares_fits_the_linear_map() -> None:
    assert linear_r2(LinearMap(outputs=3)) == pytest.approx(1 / (1 + 0.05**2), abs=2e-3)
    assert linear_r2(LinearMap(noise=0, rows=50)) == pytest.approx(1, abs=1e-12)
    assert drawn(LinearMap(rows=9, outputs=3)).target_names == ("y1", "y2", "y3")


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Sinusoid, {"rows": 1}, "task.rows must be an integer >= 2, got 1"),
        (Sinusoid, {"rows": 8.0}, "task.rows must be an integer >= 2, got 8.0"),
        (Sinusoid, {"inputs": 0}, "task.inputs must be an integer >= 1, got 0"),
        (Sinusoid, {"waves": 0}, "task.waves must be an integer >= 1"),
        (Sinusoid, {"frequency": 0}, "task.frequency must be a number > 0"),
        (Sinusoid, {"spread": -1}, "task.spread must be a number > 0"),
        (Sinusoid, {"noise": -0.1}, "task.noise must be a number >= 0"),
        (Sinusoid, {"noise": math.nan}, "task.noise must be a finite number >= 0"),
        (Sinusoid, {"validation": 1.0}, "task.validation must be a number > 0 and < 1"),
        (Sinusoid, {"waves": 10**6}, "task.rows times task.waves must be at most"),
        (Friedman, {"inputs": 4}, "task.inputs must be an integer >= 5, got 4"),
        (Friedman, {"rows": 10**12}, "task.rows times task.inputs must be at most"),
        (LinearMap, {"outputs": 0}, "task.outputs must be an integer >= 1"),
        (LinearMap, {"rows": 2, "inputs": 10**6, "outputs": 10**6}, "task.inputs times task.out"),
        (Teacher, {"rows": 10**12}, "task.rows times task.inputs must be at most"),
        *(
            (kind, {"noise": 1e200}, "task.noise must be a number >= 0 and <= 1e+100, got 1e+200")
            for kind in (Sinusoid, Friedman, Teacher)
        ),
    ],
)
def test_settings_are_checked(kind: type[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as error:
        kind(**settings)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            Sinusoid(rows=20, frequency=1e-200),
            "task.frequency=1e-200 and task.spread=1.5: .* small",
        ),
        (Sinusoid(rows=20, frequency=1e-200, spread=1e-200), "task.frequency=1e-200 and .* small"),
        (Teacher(rows=20, gain=1e-300), "task.gain=1e-300 and task.depth=2: .* small"),
        (Teacher(rows=20, gain=1e200), "task.gain=1e[+]200 and task.depth=2: .* large"),
        (Teacher(rows=20, depth=3000, width=2), "task.gain=2.0 and task.depth=3000: .* large"),
    ],
)
def test_targets_that_cannot_be_standardised_are_refused(task: Task, message: str) -> None:
    with pytest.raises(SettingError, match=f"^{message} for float64$"):
        drawn(task)


def test_the_teacher_is_drawn_before_its_inputs_and_its_targets_are_standardised() -> None:
    clean = drawn(Teacher(rows=500, outputs=3, noise=0))
    noisy = drawn(Teacher(rows=500, outputs=3, noise=0.5))
    np.testing.assert_array_equal(clean.inputs, noisy.inputs)
    np.testing.assert_allclose(clean.targets.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(clean.targets.std(axis=0), 1, atol=1e-12)
    assert (noisy.targets - clean.targets).std() == pytest.approx(0.5, abs=0.03)
    few = drawn(Teacher(rows=50, outputs=3, noise=0))
    np.testing.assert_array_equal(few.inputs, clean.inputs[:50])


@pytest.mark.parametrize(
    "sizes",
    [
        {"depth": 10**8},
        {"width": 10**9},
        {"rows": 10**7, "width": 10**5},
        {"rows": 4, "inputs": 10**7, "width": 10**5},
    ],
)
def test_a_teacher_beyond_the_memory_is_refused_before_it_is_built(sizes: dict[str, int]) -> None:
    with pytest.raises(SettingError) as refused:
        drawn(Teacher(**sizes))
    assert str(refused.value).startswith("task.rows=")
    assert all(f"task.{key}={value}" in str(refused.value) for key, value in sizes.items())
    assert " GiB, more than this machine's " in str(refused.value)


# Configuration


def test_least_squares_on_the_diabetes_study() -> None:
    task = registry.build(
        "task",
        {
            "name": "csv",
            "path": str(places.EXPERIMENTS / "diabetes" / "diabetes.csv"),
            "target": "progression",
        },
    )
    table = drawn(task)
    assert table.inputs.shape == (442, 10)
    assert table.targets.mean() == pytest.approx(152.13348)
    scores = []
    for seed in range(10):
        data = halves(table, 0.2, seed)
        scores.append(r2(data.y_validation, fit_least_squares(data)))
    assert 0.31 < min(scores) < 0.40
    assert 0.55 < max(scores) < 0.66
    assert np.mean(scores) == pytest.approx(0.5, abs=0.03)
