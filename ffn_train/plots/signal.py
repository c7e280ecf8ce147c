"""The size of the signal against depth, and the share of dead hidden units, at several steps."""

from __future__ import annotations

from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots import expected as theory
from ffn_train.plots.curves import marks, over_depth
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import depth_axis, log_axis
from ffn_train.plots.sheet import STRIP, right_legends, sample, sheet
from ffn_train.plots.style import DOUBLE, SINGLE, step_looks
from ffn_train.runs import Run


@choice("figure", "signal")
class Signal(RunFigure):
    """The root mean square of x_l; where the activation rectifies, the dead units beside it.

    Where none is dead at any step shown, the legend says so in place of a panel.
    """

    needs = ("signal_rms",)

    def draw(self, run: Run) -> Figure:
        measures = run.measures
        rectifies = measures.has("dead_share")
        measured, (signal, *dead) = measures.common(
            "signal_rms", *(["dead_share"] if rectifies else [])
        )
        looks = step_looks(signal)
        chosen = list(looks)
        none_dead = rectifies and not dead[0][chosen].any()  # what is not finite counts as some
        beside = rectifies and not none_dead
        predicted = theory.prediction(run)
        figure, axes = sheet(
            run,
            "Signal",
            width=DOUBLE if beside else SINGLE,
            height=(2.55 if beside else 2.3) + (STRIP if predicted else 0),
            panels=2 if beside else 1,
            gaps=(0.66,) if beside else (),
        )
        log_axis(axes[0], signal[chosen])
        over_depth(axes[0], signal, looks)
        depth_axis(axes[0], measures.depth, measures.depth, "block boundary $l$")
        axes[0].set_ylabel("RMS $x_l$")
        if beside:
            axes[0].set_title("(a)  signal")
            axes[1].set_title("(b)  hidden units dead on the whole batch")
            over_depth(axes[1], 100 * dead[0], looks)
            axes[1].set_ylim(-4, 104)
            depth_axis(axes[1], measures.depth - 1, measures.depth, "block $l$")
            axes[1].set_ylabel("dead units (%)")
        if predicted is not None:
            log, sd = predicted.log_signal_rms, predicted.signal_sd
            theory.expect(axes[0], run, log, sd)
            theory.strip(axes[0], run, (log, sd), signal[0], looks[0])
        theory.caption(figure, run)
        steps = [sample(str(measured[row]), **look) for row, look in looks.items()]
        alive = ("dead units", [sample("none", linestyle="none")] * none_dead)
        right_legends(
            figure, axes[-1], ("step", steps), theory.legend(run), alive, ("", marks(*figure.axes))
        )
        return figure
