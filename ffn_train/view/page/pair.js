// Two runs side by side, and their difference.

class Pair {
  /** @param {() => void} changed */
  constructor(changed) {
    /** @type {[Run | null, Run | null]} */
    this.chosen = [null, null];
    this.names = element("datalist", { id: "runs" });
    this.inputs = ["A", "B"].map((letter, at) =>
      element("input", {
        list: "runs",
        id: `run-${letter}`,
        size: 34,
        autocomplete: "off",
        placeholder: "a run",
        change: (/** @type {any} */ event) => {
          this.chosen[at] = this.runs?.all.find((run) => run.label === event.target.value) ?? null;
          event.target.setAttribute("aria-invalid", String(!this.chosen[at]));
          changed();
        },
      }),
    );
    this.table = element("div", {});
    this.loss = new Chart({ name: "pair_loss", title: "Loss of A and B", x: "step", y: "loss" });
    this.difference = new Chart({
      name: "pair_difference",
      title: "Loss: B − A",
      x: "step",
      y: "difference",
    });
    this.flow = new Chart({
      name: "pair_flow",
      fractions: true,
      title: "Gradient flow of A and B",
      x: "relative depth l/L",
      y: "|∂L/∂x_l| / |∂L/∂x_L|",
    });
    this.root = element(
      "details",
      { id: "pair" },
      element("summary", {}, "Two runs side by side"),
      element(
        "p",
        {},
        ...this.inputs.map((input, at) =>
          element("label", { class: "choice" }, `run ${"AB"[at]} `, input),
        ),
        this.names,
      ),
      this.table,
      element("div", { class: "charts" }, this.loss.root, this.difference.root, this.flow.root),
    );
    this.root.addEventListener("toggle", changed);
  }

  /** @param {Runs} runs */
  use(runs) {
    this.runs = runs;
    this.names.replaceChildren(...runs.all.map((run) => element("option", { value: run.label })));
    const measured = runs.all.filter((run) => run.measured);
    this.chosen = /** @type {[Run | null, Run | null]} */ (
      this.chosen.map(
        (run, at) => runs.all.find((other) => other.label === run?.label) ?? measured[at] ?? null,
      )
    );
    this.inputs.forEach((input, at) => {
      input.value = this.chosen[at]?.label ?? "";
    });
  }

  /** @param {string} curve @param {number} step */
  show(curve, step) {
    const [a, b] = this.chosen,
      runs = this.runs;
    if (!this.root.open || !a || !b || !runs) return;
    const differ = runs.settings.map((_, at) => at).filter((at) => a.at[at] !== b.at[at]);
    /** @type {[string, string, string, string][]} */
    const rows = [
      ["state", a.state, b.state, ""],
      ...differ.map(
        (at) =>
          /** @type {[string, string, string, string]} */ ([
            runs.settings[at].short,
            runs.text(at, a.at),
            runs.text(at, b.at),
            "",
          ]),
      ),
      ...runs.metrics.map((metric, at) => {
        const [left, right] = [a.values[at], b.values[at]];
        const apart = metric.factor ? `×${short(right / left)}` : short(right - left);
        return /** @type {[string, string, string, string]} */ ([
          metric.label,
          numberWords(left),
          numberWords(right),
          Number.isFinite(left) && Number.isFinite(right) ? apart : "",
        ]);
      }),
    ];
    const heading = ["", "A", "B", "B − A, or B/A as ×"].map((word) =>
      element("th", { scope: "col" }, word),
    );
    this.table.replaceChildren(
      element(
        "table",
        { class: "pair" },
        element("thead", {}, element("tr", {}, ...heading)),
        element(
          "tbody",
          {},
          ...rows.map(([name, ...cells]) =>
            element(
              "tr",
              {},
              element("th", { scope: "row" }, name),
              ...cells.map((cell) => element("td", {}, cell)),
            ),
          ),
        ),
      ),
    );
    const [left, right] = [a.curves[curve], b.curves[curve]];
    const looks = [
      { colour: "--c0", marker: /** @type {"circle"} */ ("circle") },
      { colour: "--c1", marker: /** @type {"square"} */ ("square"), dash: [6, 3] },
    ];
    const positive = [left, right].every((each) => Array.from(each.y).every((y) => !(y <= 0)));
    this.loss.show({
      lines: [left, right].map((each, at) => ({ label: "AB"[at], ...each, ...looks[at] })),
      log: positive,
    });
    const common = Array.from(left.x).filter((x) => right.x[lastUpTo(right.x, x)] === x);
    const difference = common.map(
      (x) => right.y[lastUpTo(right.x, x)] - left.y[lastUpTo(left.x, x)],
    );
    this.difference.show({
      lines: [{ label: "B − A", x: common, y: difference, ...NOW_LINE }],
      log: false,
      guides: [{ y: 0, label: "equal" }],
      empty: common.length ? "" : "no step is common to both",
    });
    const flows = [a, b].map((run, at) => ({
      label: "AB"[at],
      ...relativeFlow(run, step),
      ...looks[at],
    }));
    const ratio = {
      label: "B / A",
      x: flows[0].x,
      y: Array.from(flows[0].x, (x, at) => between(flows[1], x, true) / flows[0].y[at]),
      colour: "--muted",
      dash: [2, 3],
    };
    this.flow.show({
      lines: flows[0].x.length && flows[1].x.length ? [...flows, ratio] : flows,
      log: true,
      note: `at step ${step}, or the last measured before`,
    });
  }
}

const NOW_LINE = { colour: "--now", width: 2 };

/** A metric's value: infinite stands for not finite, NaN for none. @param {number} value */
function numberWords(value) {
  return Number.isNaN(value) ? "–" : short(value);
}

/** |dL/dx_l| relative to l = L over l/L, at the last measured step up to this one. @param {Run} run @param {number} step @returns {Curve} */
function relativeFlow(run, step) {
  const row = run.flow.rows[Math.max(lastUpTo(run.flow.steps, step), 0)];
  if (!row?.length) return { x: [], y: [] };
  const last = row.length - 1;
  return {
    x: Array.from(row, (_, at) => at / Math.max(last, 1)),
    y: Array.from(row, (value) => (row[last] > 0 ? value / row[last] : NaN)),
  };
}
