"""The figures of the studies: axes and legends that follow from what is drawn."""

from __future__ import annotations

from ffn_train.reproduce.panels import DEPTH, THEORY, finished, marks, panels


def test_panels_get_their_scales_and_legends_from_what_is_drawn() -> None:
    depths = [4, 8, 16]
    sheet, (left, right) = panels(
        "Title", "note", {"growth": DEPTH, "share": "lag"}, {DEPTH: depths}, right=1.0
    )
    for order, name in enumerate(("tanh", "relu")):
        left.plot(depths, [1, 10, 100], label=name, gid="activation", **marks(order, 2))
        left.plot(depths, [1, 10, 1000], **THEORY)
    right.plot([0, 1], [-1, 1])
    right.set_ylim(-1, 1)
    assert finished(sheet) is sheet
    assert [axes.get_title() for axes in sheet.axes] == ["(a) growth", "(b) share"]
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["4", "8", "16"]
    assert left.get_ylim()[1] > 1000
    assert (right.get_xscale(), right.get_yscale()) == ("linear", "linear")
    legends = [
        (legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()])
        for legend in sheet.legends
    ]
    assert legends == [("activation", ["tanh", "relu"]), ("", ["theory"])]
