"""All figures of many comparisons: nothing empty, and no words on others."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ffn_train.commands.compare import present
from ffn_train.compare import OTHERS, Options, forking, write_figures
from ffn_train.compare.case import Case
from ffn_train.compare.earlier import MAKER
from ffn_train.config.settings import SettingError
from ffn_train.runs import files
from tests.compare.made_up import (
    case,
    compared,
    figures,
    small_sweep,
)
from tests.support.command import Forked

CROWDS: Mapping[str, list[Case]] = {
    "sixty": [
        case(d * lr, depth=d, lr=lr / 100, residual=r)
        for d in (2, 4, 8, 16, 32)
        for lr in (1, 2, 3, 5, 8, 13)
        for r in ("identity", "scaled")
    ],
    "words": [case(i, init=f"an_initialiser_{i}") for i in range(1, 31)],
    "near": [case(lr, lr=lr, ratio=lr) for lr in (0.001, 0.00101, 0.01, 0.011, 1, 1.01, 1.02)],
    "near in one decade": [case(1.0, lr=lr) for lr in (0.1, 0.101, 0.1234, 0.13, 0.2, 0.3)],
    "narrow": [
        case(1.0, lr=0.02 * 1.4**i, init=init, norm=norm)
        for i in range(10)
        for init in "abcd"
        for norm in "xy"
    ],
    "narrow and linear": [
        case(1.0, lr=0.02 + i / 1000, init=init, norm=norm)
        for i in range(10)
        for init in "abcd"
        for norm in "xy"
    ],
    "ladder": [case(i, lr=0.001 * 1.3**i, seed=s) for i in range(1, 41) for s in (0, 1)],
    "one": [case()],
    "together": [
        case(depth=d, residual=r, **{f"task.some_setting_{i}": d + i for i in range(8)})
        for d in (4, 8)
        for r in ("none", "scaled")
    ],
    "seeds": [case(seed + 1, seed=seed) for seed in range(4)],
    "lost": [case(depth=d, seed=s, state="diverged") for d in (4, 8) for s in (0, 1)],
    "running": [case(depth=4, state="running"), case(depth=8, state="pending")],
    "widths": [
        case(width=w, init=i, lr=lr)
        for w in (8, 16)
        for i in ("a", "$_per_$", "c")  # no formula
        for lr in (1, 2, 3)
    ],
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_nothing_is_empty_and_no_words_overlap(crowd: str) -> None:
    sheets = figures(compared(*CROWDS[crowd]))
    assert {"loss_curves", "gradient_flow"} <= set(sheets)
    for name, sheet in sheets.items():
        FigureCanvasAgg(sheet)
        sheet.draw_without_rendering()
        page = sheet.get_tightbbox().transformed(sheet.dpi_scale_trans)  # what is saved
        words = []
        for axes in sheet.axes:
            assert axes.lines or axes.collections or axes.images or axes.patches, name
            words += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                labels = [label for tick in ticks for label in (tick.label1, tick.label2)]
                words += [label for label in labels if label.get_visible()]
                words.append(axis.get_offset_text())
        for legend in sheet.legends:
            words += [*legend.get_texts(), legend.get_title()]
        words += sheet.texts
        boxes = [(w.get_text(), w.get_window_extent()) for w in words if w.get_text().strip()]
        for index, (word, box) in enumerate(boxes):
            inside = page.x0 <= box.x0 + 1 and page.y0 <= box.y0 + 1
            inside &= box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1
            assert inside, f"{name}: {word!r} leaves the page"
            for other, there in boxes[index + 1 :]:
                apart = (
                    box.x1 <= there.x0 + 1
                    or there.x1 <= box.x0 + 1
                    or box.y1 <= there.y0 + 1
                    or there.y1 <= box.y0 + 1
                )
                assert apart, f"{name}: {word!r} on {other!r}"


def test_figures_are_written_in_each_format(tmp_path: Path) -> None:
    written = write_figures(compared(*small_sweep()), tmp_path, ["png", "pdf"])
    assert {path.name for path in written} == {
        f"{name}.{kind}"
        for name in ("final", "gradient_flow", "loss_curves", "trainability_map")
        for kind in ("png", "pdf")
    }
    assert all(path.stat().st_size > 1000 for path in written)


def test_only_what_an_earlier_comparison_wrote_is_replaced_or_removed(tmp_path: Path) -> None:
    several = compared(case(), case(depth=8), figures=["final"])
    for formats in (["svg"], ["pdf"]):  # of the same runs, a paper's figures one by one
        present(several, tmp_path, formats)
    (tmp_path / "layers.png").write_bytes(b"mine")
    os.truncate(tmp_path / "layers.png", files.LARGEST + 1)  # sparse
    (tmp_path / "mine.png").write_bytes(MAKER.encode())
    figures = {path.name for path in tmp_path.iterdir()} - {*OTHERS}
    assert figures == {"final.svg", "final.pdf", "layers.png", "mine.png"}
    alone = compared(case(), figures=["loss_curves"])
    present(alone, tmp_path, ["png"])
    figures = {path.name for path in tmp_path.iterdir()} - {*OTHERS}
    assert figures == {"loss_curves.png", "layers.png", "mine.png"}
    unsigned = (tmp_path / "loss_curves.png").read_bytes().replace(MAKER.encode(), b"version 0.1.0")
    (tmp_path / "loss_curves.png").write_bytes(unsigned)
    present(alone, tmp_path, ["png"])
    assert MAKER.encode() in (tmp_path / "loss_curves.png").read_bytes()


def test_what_something_else_wrote_is_left_alone(tmp_path: Path) -> None:
    alone = compared(case(), figures=["loss_curves"])
    out = tmp_path / "comparison"
    present(alone, out, ["png"])
    for name in OTHERS:
        content = (out / name).read_bytes()
        (out / name).write_bytes(b"mine")
        with pytest.raises(SettingError, match=f"{name} exists; remove it, or name another"):
            present(alone, out, ["png"])
        assert (out / name).read_bytes() == b"mine"
        (out / name).write_bytes(content)
    for name in ("groups.csv", "runs.csv"):
        (out / name).unlink()
    for kind in ("png", "svg"):
        (out / f"loss_curves.{kind}").write_bytes(b"mine")
    both = "loss_curves.png, .*/loss_curves.svg exist; remove them, or name another"
    with pytest.raises(SettingError, match=both):
        present(alone, out, ["png", "svg"])


def test_the_figures_of_many_runs_are_drawn_side_by_side(tmp_path: Path) -> None:
    chosen = Options(figures=["final", "loss_curves"])
    comparison = replace(compared(*small_sweep()), options=chosen)
    alone = write_figures(comparison, tmp_path, ["svg"])
    assert len(alone) == 2
    before = [path.read_bytes() for path in alone]

    def side_by_side() -> None:  # in a child: it has no threads, as this process may
        for path in alone:
            path.unlink()
        assert write_figures(comparison, tmp_path, ["svg"], processes=2) == alone
        assert [path.read_bytes() for path in alone] == before
        assert os.getpid() not in forking.each(lambda _: os.getpid(), range(8), 2)
        (tmp_path / "a file").touch()
        with pytest.raises(OSError, match="a file") as caught:
            write_figures(comparison, tmp_path / "a file", ["svg"], processes=2)
        assert str(tmp_path / "a file") in str(caught.value.filename)

    child = Forked(side_by_side, cwd=tmp_path).wait()
    assert child.returncode == 0, child.stderr


@pytest.mark.parametrize(("platform", "processes"), [("linux", 1), ("darwin", 2)])
def test_no_process_is_forked_unasked_or_where_that_is_unsafe(
    platform: str, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert forking.each(lambda _: os.getpid(), range(3), processes) == [os.getpid()] * 3
