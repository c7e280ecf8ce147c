// The charts of a run: which lines each of them has at a step.

/** A column over steps. @typedef {{x: ArrayLike<number>, y: ArrayLike<number>}} Series */
/** @typedef {{step: number, quantity: Quantity, place: Place, log: boolean, below: number | null}} State */

const NOW = { colour: "--now", width: 2.4 },
  GHOST = { colour: "--muted", dash: [2, 3], width: 1.4 };
const BINS = 50,
  GUIDE = 1e-3;

class RunCharts {
  /** @param {Data} data @param {Map<string, Quantity>} quantities @param {Map<string, Series>} scalars */
  constructor(data, quantities, scalars) {
    this.data = data;
    // the data with the prediction, which comes with step 0
    this.theory = data;
    this.quantities = quantities;
    this.scalars = scalars;
    /** @type {Record<string, {x: number[], log: number[], low: number[], high: number[]}>} */
    this.expected = {};
  }

  /** Unpack what the charts need, and the prediction. */
  async ready() {
    const needed = [
      "layer_gradient_norm",
      "signal_gradient_rms",
      "skip_gradient_rms",
      "branch_gradient_rms",
      "update_ratio",
    ];
    await Promise.all(needed.map((name) => this.quantities.get(name)?.ready()));
    for (const [name, packed] of Object.entries(this.theory.header.theory.curves ?? {})) {
      const values = Array.from(await this.theory.values(/** @type {Packed} */ (packed))),
        count = values.length / 3;
      const power = values.map((value) => 10 ** value);
      const part = (/** @type {number} */ at) => power.slice(at * count, (at + 1) * count);
      this.expected[name] = {
        x: part(0).map((_, at) => at),
        log: part(0),
        low: part(1),
        high: part(2),
      };
    }
  }

  /** @param {string} name */
  has(name) {
    const quantity = this.quantities.get(name);
    return quantity !== undefined && !quantity.absent && quantity.steps.length > 0;
  }

  /**
   * A quantity over its places at the step, with step 0 as a ghost and what theory predicts for it.
   * @param {string} name @param {State} state @param {(places: Place[]) => number[]} [choose]
   * @returns {Content}
   */
  overDepth(name, state, choose = (places) => places.map((_, at) => at)) {
    const quantity = this.quantities.get(name);
    if (!quantity) return nothing("not measured (measure.quantities)");
    if (quantity.absent) return nothing(`does not apply: ${quantity.absent}`);
    if (!quantity.steps.length) return nothing("no step was measured");
    const places = choose(quantity.places),
      log = state.log && positive(quantity);
    const pick = (/** @type {ArrayLike<number>} */ row) => places.map((at) => row[at]);
    const x = places.map((_, at) => at),
      row = Math.max(lastUpTo(quantity.steps, state.step), 0);
    const measured = quantity.steps[row];
    /** @type {Line[]} */
    const lines = [
      { label: `step ${quantity.steps[0]}`, x, y: pick(quantity.at(0)), ...GHOST },
      { label: "now", x, y: pick(quantity.at(row)), ...NOW },
    ];
    const shown = [quantity.values];
    /** @type {Band[]} */
    const bands = [];
    const theory = this.theory.header.theory,
      expected = this.expected[name];
    if (expected) {
      const line = {
        ...expected,
        log: pick(expected.log),
        low: pick(expected.low),
        high: pick(expected.high),
      };
      const from = theory.mode === "anchored" ? "this run's x₀ and ∂L/∂x_L" : "the settings alone";
      const label = theory.holds ? `theory from ${from} (band: ±1 sd)` : "theory does not hold here";
      lines.push({
        label,
        x,
        y: line.log.map((value) => (value > 0 ? value : NaN)).map(finiteOrGap),
        colour: "--theory",
        dash: [7, 4],
        width: 1.3,
      });
      bands.push({ x, low: line.low, high: line.high, colour: "--theory", hatched: !theory.holds });
      shown.push(line.low, line.high);
    }
    const notes = [
      measured === state.step ? "" : `not measured at step ${state.step}: as at step ${measured}`,
    ];
    if (name in RUN_THEORY && !expected) notes.push(theory.reason || "no prediction");
    const names = places.map((at) => quantity.places[at].brief),
      now = pick(quantity.at(row)),
      guides = [];
    if (state.below !== null) {
      const named = places.map((at) => quantity.places[at].name);
      for (const at of row > 0 ? [row, 0] : [0]) {
        const values = pick(quantity.at(at));
        notes.push(`at step ${quantity.steps[at]} ${below(values, named, state.below)}`);
      }
      if (now.some((value) => value < Number(state.below))) {
        guides.push({ y: state.below, label: short(state.below) });
        shown.push([state.below]);
      }
    }
    return {
      lines: lines.map(withoutGaps),
      bands,
      guides,
      log,
      y: extent(shown, log),
      names,
      note: notes.filter(Boolean).join(" · "),
      cross: quantity.lost,
    };
  }

  /** @param {State} state */
  parameterGradient(state) {
    return this.overDepth("layer_gradient_norm", state, (places) =>
      places.flatMap((place, at) => (place.block === null ? [] : [at])),
    );
  }

  /** With its skip and its branch part. @param {State} state */
  signalGradient(state) {
    const content = this.overDepth("signal_gradient_rms", state);
    for (const [name, label, look] of /** @type {[string, string, any][]} */ ([
      ["skip_gradient_rms", "skip part", { colour: "--skip", marker: "circle", width: 1.2 }],
      [
        "branch_gradient_rms",
        "branch part",
        { colour: "--branch", marker: "square", dash: [5, 3], width: 1.2 },
      ],
    ])) {
      const part = this.quantities.get(name);
      if (!part || !this.has(name) || !content.lines.length) continue;
      const row = Math.max(lastUpTo(part.steps, state.step), 0),
        y = part.at(row);
      content.lines.push({
        label,
        x: y.map((/** @type {number} */ _, /** @type {number} */ at) => at),
        y,
        ...look,
      });
      const [low, high] = extent([part.values], content.log);
      if (content.y) content.y = [Math.min(content.y[0], low), Math.max(content.y[1], high)];
    }
    const parts = this.quantities.get("skip_gradient_rms");
    if (parts?.absent)
      content.note = [content.note, `no parts: ${parts.absent}`].filter(Boolean).join(" · ");
    return content;
  }

  /** The chosen place of the chosen quantity over the steps. @param {State} state @returns {Content} */
  overSteps(state) {
    const { quantity } = state;
    if (quantity.absent) return nothing(`does not apply: ${quantity.absent}`);
    const at = quantity.find(state.place),
      log = state.log && positive(quantity);
    const line = {
      label: quantity.places[at]?.name ?? "",
      x: quantity.steps,
      y: quantity.of(at),
      ...NOW,
    };
    return { lines: [line], log, at: state.step, x: this.span, cross: quantity.lost };
  }

  /** |dL/dx_0| / |dL/dx_L| at each measured step. @returns {Series} */
  get ratio() {
    const flow = this.quantities.get("signal_gradient_rms");
    if (!flow || !this.has("signal_gradient_rms")) return { x: [], y: [] };
    const [first, last] = [flow.of(0), flow.of(flow.columns - 1)];
    return { x: flow.steps, y: first.map((value, at) => (last[at] > 0 ? value / last[at] : NaN)) };
  }

  /** @param {State} state @returns {Content} */
  headline(state) {
    return {
      lines: [{ label: "|∂L/∂x₀| / |∂L/∂x_L|", ...this.ratio, ...NOW }],
      log: true,
      at: state.step,
      x: this.span,
      guides: [{ y: 1, label: "1: neither vanishes nor explodes" }],
    };
  }

  /** @param {State} state @returns {Content} */
  loss(state) {
    const { baseline_loss: baseline, score } = this.data.header;
    const series = (/** @type {string} */ name) => this.scalars.get(name) ?? { x: [], y: [] };
    const training = series("loss"),
      validation = series("validation_loss");
    const all = [training.y, validation.y],
      [least, most] = ends(all.flatMap((y) => Array.from(y)));
    const log = state.log && least !== null && least > 0 && most !== null && most > 10 * least;
    const long = training.x.length >= 4 * BINS;
    /** @type {Line[]} */
    const lines = [
      { label: "training, each batch", ...training, colour: "--training", width: long ? 0.7 : 1.6 },
      ...(long
        ? [{ label: "training, mean", ...binned(training), colour: "--training", width: 2.2 }]
        : []),
      {
        label: "validation",
        ...validation,
        colour: "--validation",
        dash: [7, 3],
        marker: /** @type {"square"} */ ("square"),
      },
    ];
    const guides = baseline === null ? [] : [{ y: baseline, label: score?.name || "baseline" }];
    return {
      lines: lines.filter((line) => line.x.length),
      guides,
      log,
      at: state.step,
      x: this.span,
    };
  }

  /** @param {State} state @returns {Content} */
  score(state) {
    const score = this.data.header.score,
      series = this.scalars.get("validation_score");
    if (!score || !series?.x.length) return nothing("no score was computed");
    const guides =
      score.value === null ? [] : [{ y: score.value, label: score.name || "baseline" }];
    const values = Array.from(series.y),
      low = Math.max(-1, Math.min(...values.slice(1).filter(Number.isFinite), 0)),
      shown = values.filter((value) => value >= low);
    const y = extent([shown.length ? shown : values, guides.map((guide) => guide.y)], false);
    const under = values.filter((value) => value < y[0]).length;
    return {
      note: under ? `${counted(under, "value")} below the axis` : "",
      lines: [{ label: score.symbol, ...series, ...NOW }],
      guides,
      log: false,
      at: state.step,
      x: this.span,
      y,
    };
  }

  /** First, middle, last and the chosen block. @param {State} state @returns {Content} */
  updates(state) {
    const ratio = this.quantities.get("update_ratio");
    if (!ratio || !ratio.steps.length)
      return nothing(ratio ? "no step was taken" : "not measured (measure.quantities)");
    const blocks = ratio.places.flatMap((place, at) => (place.block === null ? [] : [at]));
    const chosen = ratio.find(state.place);
    const looks = /** @type {any[]} */ ([
      { colour: "--skip", marker: "circle" },
      { colour: "--branch", marker: "square", dash: [5, 3] },
      { colour: "--validation", marker: "diamond", dash: [2, 2] },
      NOW,
    ]);
    const wanted = [blocks[0], blocks[blocks.length >> 1], blocks[blocks.length - 1], chosen];
    const words = ["first", "middle", "last", "chosen"];
    const lines = wanted.map((at, index) => ({
      label: `${words[index]}: ${ratio.places[at].name}`,
      x: ratio.steps,
      y: ratio.of(at),
      ...looks[index],
    }));
    return {
      lines,
      log: true,
      at: state.step,
      x: this.span,
      guides: [{ y: GUIDE, label: "1e-3: usual" }],
      cross: ratio.lost,
    };
  }

  /** The share of clipped updates, in bins of steps. @param {State} state @returns {Content} */
  clipped(state) {
    const flags = this.scalars.get("clipped");
    if (!flags?.x.length) return nothing(flags ? "no step was taken" : "not recorded");
    return {
      lines: [{ label: "share of updates that were clipped", ...binned(flags), ...NOW }],
      log: false,
      at: state.step,
      x: this.span,
      y: [-0.04, 1.04],
    };
  }

  /** @returns {[number, number]} */
  get span() {
    const last = Math.max(
      ...[...this.scalars.values()].map(({ x }) => (x.length ? x[x.length - 1] : 0)),
      0,
    );
    return [0, last || 1];
  }
}

/** The curves that theory predicts. */
const RUN_THEORY = {
  layer_gradient_norm: 1,
  signal_gradient_rms: 1,
  signal_rms: 1,
  gradient_norm: 1,
};

/** Which places have a value below a bound, in words. @param {number[]} values @param {string[]} names @param {number} bound */
function below(values, names, bound) {
  const stretches = [];
  for (let at = 0; at < values.length; at++) {
    if (!(values[at] < bound)) continue;
    const first = at;
    while (values[at + 1] < bound) at++;
    stretches.push(first === at ? names[at] : `${names[first]} to ${names[at]}`);
  }
  const left = stretches.splice(3).length;
  if (left) stretches.push(`and ${left} more`);
  return `below ${short(bound)}: ${stretches.join(", ") || "nothing"}`;
}

/** @param {string} why @returns {Content} */
function nothing(why) {
  return { lines: [], log: false, empty: why };
}

/** Whether a quantity may stand on a logarithmic axis. @param {Quantity} quantity */
function positive(quantity) {
  return quantity.log && !Array.from(quantity.values).some((value) => value < 0);
}

/** Means over at most so many bins of consecutive rows. @param {Series} series @returns {Series} */
function binned({ x, y }) {
  const size = Math.max(1, Math.floor(x.length / BINS));
  const means = (/** @type {ArrayLike<number>} */ values) => {
    const averages = [];
    for (let start = 0; start < values.length; start += size) {
      const part = Array.prototype.slice.call(values, start, start + size);
      averages.push(part.reduce((sum, value) => sum + value, 0) / part.length);
    }
    return averages;
  };
  return { x: means(x), y: means(y) };
}

const GAP = Symbol("no prediction");

/** @param {number} value @returns {any} */
function finiteOrGap(value) {
  return Number.isFinite(value) ? value : GAP;
}

/** A line without the places that it has no value for. @param {Line} line @returns {Line} */
function withoutGaps(line) {
  const kept = Array.from(line.y, (_, at) => at).filter(
    (at) => /** @type {any} */ (line.y[at]) !== GAP,
  );
  if (kept.length === line.y.length) return line;
  return { ...line, x: kept.map((at) => line.x[at]), y: kept.map((at) => line.y[at]) };
}
