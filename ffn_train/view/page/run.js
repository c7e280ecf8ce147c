// The page of a run: one step, one quantity, one place; all charts show them.

class RunPage {
  /** @param {Data} data */
  constructor(data) {
    const header = data.header;
    this.data = data;
    this.quantities = quantitiesOf(data);
    /** @type {Map<string, Series>} */
    this.scalars = new Map();
    this.charts = new RunCharts(data, this.quantities, this.scalars);
    this.steps = new StepControl(this.measured(), () => this.draw());
    const first =
      this.quantities.values().next().value ??
      new Quantity(
        { name: "", says: "", equation: "", unit: "", log: true, absent: "nothing was measured" },
        [],
        [],
        "",
        async () => [],
      );
    /** @type {State} */
    this.state = {
      step: this.steps.step,
      quantity: first,
      place: first.places[first.find({ name: "", block: 0 })] ?? {
        name: "",
        brief: "",
        block: null,
      },
      log: true,
      below: null,
    };
    this.top = element("header", {});
    this.said = element("p", { class: "said", "aria-live": "polite" });
    this.make();
    document.body.append(
      this.top,
      this.settings(),
      element(
        "main",
        {},
        this.controls(),
        this.said,
        element("div", { class: "charts" }, ...this.figures()),
      ),
      element(
        "footer",
        {},
        element(
          "p",
          {},
          "Drag in a chart to zoom, double-click to see all. Arrow keys change the step, space plays. ",
          "Charts: uPlot, MIT licence.",
        ),
      ),
    );
    this.title(header);
  }

  /** The steps at which anything was measured. */
  measured() {
    return union(this.data.header.quantities.map((/** @type {any} */ each) => each.steps));
  }

  /** Unpack and show. */
  async start() {
    await Promise.all(
      this.data.header.scalars.map(async (/** @type {any} */ column) => {
        const [x, y] = await Promise.all([this.data.values(column.x), this.data.values(column.y)]);
        this.scalars.set(column.name, { x, y });
      }),
    );
    await Promise.all([this.charts.ready(), this.state.quantity.ready()]);
    this.draw();
    ready();
  }

  make() {
    const depth = {
      x: "block l",
      place: (/** @type {number} */ x) => `block ${x}`,
      pick: (/** @type {number} */ x) => this.pickBlock(x),
    };
    const boundary = {
      ...depth,
      x: "block boundary l",
      place: (/** @type {number} */ x) => `boundary ${x}`,
    };
    const steps = { x: "step", pick: (/** @type {number} */ x) => this.steps.near(x) };
    const shown = this.charts;
    /** @type {[Chart, (state: State) => Content][]} */
    this.drawn = [
      [
        new Chart({
          ...depth,
          name: "parameter_gradient",
          title: "Parameter gradients over depth",
          y: "|∂L/∂θ_l|",
          explanation:
            "Norm of the loss's gradient with respect to all parameters of a block. The dotted line is the first measured step.",
        }),
        (state) => shown.parameterGradient(state),
      ],
      [
        new Chart({
          ...boundary,
          name: "signal_gradient",
          title: "Signal gradients over depth",
          y: "RMS ∂L/∂x_l",
          explanation:
            "Root mean square of the loss's gradient with respect to the signal x_l between blocks, and the parts of it that came by the skip path and by the branch. It comes from the right, the output.",
        }),
        (state) => shown.signalGradient(state),
      ],
      [
        new Chart({
          x: "place",
          name: "quantity_depth",
          title: "Chosen quantity over depth",
          y: "",
          pick: (x) => this.pickPlace(x),
          place: (x) => this.state.quantity.places[x]?.name ?? "",
        }),
        (state) => this.chosen(state),
      ],
      [
        new Chart({ ...steps, name: "quantity_steps", title: "Chosen quantity over steps", y: "" }),
        (state) => shown.overSteps(state),
      ],
      [
        new Chart({
          ...steps,
          name: "loss",
          title: "Loss",
          y: "loss",
          explanation: `Loss of each batch, and of the validation rows where it was computed. ${this.data.header.loss_unit ?? ""}`,
        }),
        (state) => shown.loss(state),
      ],
      [
        new Chart({
          ...steps,
          name: "score",
          title: "Score on the validation rows",
          y: this.data.header.score?.symbol ?? "score",
        }),
        (state) => shown.score(state),
      ],
      [
        new Chart({
          ...steps,
          name: "ratio",
          title: "Gradient ratio |∂L/∂x₀| / |∂L/∂x_L|",
          y: "ratio",
          explanation:
            "The gradient at the input of the first block relative to that at the output of the last: far below 1 it vanishes on its way back, far above 1 it explodes.",
        }),
        (state) => shown.headline(state),
      ],
      [
        new Chart({
          ...steps,
          name: "updates",
          title: "Update:weight ratio",
          y: "|Δθ| / |θ|",
          explanation:
            "Size of a step's update relative to the weights of a layer; about 1e-3 is usual.",
        }),
        (state) => shown.updates(state),
      ],
      [
        new Chart({
          ...steps,
          name: "clipped",
          title: "Clipped updates",
          y: "share",
          explanation:
            "Share of the updates whose gradient was longer than trainer.clip and was shortened to it.",
        }),
        (state) => shown.clipped(state),
      ],
    ];
    this.map = new HeatMap({
      name: "heat_map",
      title: "Layer by step",
      x: "step",
      y: "",
      explanation:
        "The chosen quantity of each layer, block or tensor at each measured step: input at the bottom, output at the top.",
      choose: (step, place) => {
        this.state.place = this.state.quantity.places[place];
        this.steps.near(step);
        this.draw();
      },
    });
  }

  /** The chosen quantity over its places. @param {State} state */
  chosen(state) {
    const { quantity } = state;
    if (quantity.single && !quantity.absent)
      return nothing("one number at each step: see its curve");
    const content = this.charts.overDepth(quantity.name, state);
    return {
      ...content,
      axis: quantity.axis,
      ticks: labelled(quantity.places),
      note: [quantity.title, content.note].filter(Boolean).join(" · "),
    };
  }

  /** The figures: the flow over depth, then the map with the chosen quantity, then what goes over steps. */
  figures() {
    const roots = (this.drawn ?? []).map(([chart]) => chart.root);
    const map = this.map?.root;
    map?.classList.add("wide");
    return [...roots.slice(0, 2), map, ...roots.slice(2)];
  }

  controls() {
    const options = [...this.quantities.values()].map((each) => ({
      value: each.name,
      text: `${each.title}${each.absent ? " (does not apply)" : ""}`,
    }));
    const names = element("datalist", { id: "places" });
    this.names = names;
    this.search = element("input", {
      id: "place",
      list: "places",
      size: 14,
      placeholder: "such as blocks.3",
      autocomplete: "off",
      change: () => this.find(this.search.value),
    });
    const log = element("input", {
      type: "checkbox",
      id: "log",
      checked: true,
      change: (/** @type {any} */ event) => {
        this.state.log = event.target.checked;
        this.draw();
      },
    });
    const below = element("input", {
      id: "below",
      size: 6,
      placeholder: "1e-10",
      autocomplete: "off",
      input: () => {
        const bound = Number(below.value);
        below.setAttribute("aria-invalid", String(Number.isNaN(bound)));
        this.state.below = bound || null;
        this.draw();
      },
    });
    return element(
      "div",
      { class: "controls" },
      this.steps.root,
      choice("quantity ", "quantity", options, (name) => this.choose(name)),
      element("label", { class: "choice" }, "find a layer ", this.search, names),
      element("label", { class: "choice" }, "mark what is below ", below),
      element("label", { class: "choice" }, log, "logarithmic"),
    );
  }

  /** @param {string} name */
  async choose(name) {
    const quantity = this.quantities.get(name);
    if (!quantity) return;
    await quantity.ready();
    this.state.quantity = quantity;
    this.state.place = quantity.places[quantity.find(this.state.place)] ?? this.state.place;
    this.draw();
  }

  /** Choose the place of this name, or the first that has it in its own. @param {string} text */
  find(text) {
    const wanted = text.trim().toLowerCase();
    const { places } = this.state.quantity;
    const match =
      places.find((place) => place.name.toLowerCase() === wanted) ??
      places.find((place) => place.brief === wanted) ??
      places.find((place) => place.name.toLowerCase().includes(wanted));
    this.search.setAttribute("aria-invalid", String(!match));
    if (!match || !wanted) return;
    this.state.place = match;
    this.draw();
  }

  /** @param {number} place */
  pickPlace(place) {
    this.state.place = this.state.quantity.places[place] ?? this.state.place;
    this.draw();
  }

  /** @param {number} block */
  pickBlock(block) {
    const { quantity } = this.state;
    this.pickPlace(quantity.find({ name: "", block }));
  }

  draw() {
    const state = this.state;
    state.step = this.steps.step;
    const { quantity } = state,
      place = quantity.find(state.place);
    if (this.names.dataset.of !== quantity.name) {
      this.names.dataset.of = quantity.name;
      this.names.replaceChildren(
        ...quantity.places.slice(0, 5000).map((each) => element("option", { value: each.name })),
      );
    }
    for (const [chart, content] of this.drawn ?? []) chart.show(content(state));
    this.map?.show(quantity, state.log && positive(quantity), state.step, place);
    this.search.value = quantity.places[place]?.name ?? "";
    this.said.replaceChildren(...this.sentence(place));
  }

  /** What the charts come to at the step. @param {number} place */
  sentence(place) {
    const { step, quantity } = this.state;
    const ratio = this.charts.ratio,
      at = lastUpTo(ratio.x, step),
      row = lastUpTo(quantity.steps, step);
    const words = [element("b", {}, `Step ${step}: `)];
    if (at >= 0) {
      const dead = ratio.x[at] === step ? "" : ` (at step ${ratio.x[at]})`;
      words.push(
        "|∂L/∂x₀| / |∂L/∂x_L| ",
        element("b", { id: "ratio-now" }, this.ratioWords(at)),
        `${dead}; `,
      );
    }
    const loss = this.scalars.get("loss"),
      now = loss ? lastUpTo(loss.x, step) : -1;
    if (loss && now >= 0)
      words.push("loss of the batch ", element("b", {}, short(loss.y[now])), "; ");
    if (row >= 0 && quantity.places[place]) {
      words.push(
        `${quantity.title}, ${quantity.places[place].name}: `,
        element("b", { id: "value-now" }, quantity.says(quantity.at(row)[place])),
        quantity.steps[row] === step
          ? ""
          : ` (not measured at this step: as at step ${quantity.steps[row]})`,
      );
    }
    return words;
  }

  /** @param {number} at */
  ratioWords(at) {
    const flow = /** @type {Quantity} */ (this.quantities.get("signal_gradient_rms"));
    const last = flow.at(at)[flow.columns - 1];
    return last === 0 ? "0/0" : short(this.charts.ratio.y[at]);
  }

  /** Name, state and outcome. @param {any} header */
  title(header) {
    const state = element(
      "span",
      { class: `state ${header.state}` },
      `${STATES[header.state] ?? "•"} ${header.state}`,
    );
    const rows = header.outcome.map((/** @type {[string, string]} */ [what, text]) => [
      element("dt", {}, term(what, EXPLAINED[what] ?? "")),
      element("dd", {}, text),
    ]);
    const { all, shown } = header.measured;
    const thinned = [
      all > shown ? `${shown} of ${all} measured steps are shown` : "",
      ...header.scalars
        .filter((/** @type {any} */ each) => each.all > each.shown)
        .slice(0, 1)
        .map(
          (/** @type {any} */ each) =>
            `of ${each.all} rows of ${each.name} the least and the largest of each of ${Math.round(each.shown / 2)} stretches are shown`,
        ),
    ];
    this.top.replaceChildren(
      element("h1", {}, header.name, " ", state),
      header.reason ? element("p", { class: "reason" }, header.reason) : "",
      element("dl", {}, ...rows.flat()),
      thinned.some(Boolean)
        ? element("p", { class: "thinned" }, thinned.filter(Boolean).join("; "))
        : "",
    );
  }

  settings() {
    const settings = this.data.header.settings;
    const rows = settings.map((/** @type {[string, string]} */ [key, value]) =>
      element("tr", {}, element("th", { scope: "row" }, key), element("td", {}, value)),
    );
    const table = rows.length
      ? element("table", {}, ...rows)
      : element("p", {}, "The run's settings were not recorded.");
    return element("details", {}, element("summary", {}, `Settings (${settings.length})`), table);
  }

  /** From where rows are to be asked for: with the last one again, whose further measures may have come since. */
  since() {
    return `&after=${(this.steps.steps[this.steps.steps.length - 1] ?? 0) - 1}`;
  }

  /** Rows that came since; with step 0 comes what theory predicts. @param {Data} more */
  async extend(more) {
    for (const column of more.header.scalars) {
      const before = this.scalars.get(column.name) ?? { x: [], y: [] };
      const [x, y] = await Promise.all([more.values(column.x), more.values(column.y)]);
      const known = lastUpTo(x, before.x.length ? before.x[before.x.length - 1] : -1) + 1;
      this.scalars.set(column.name, {
        x: [...Array.from(before.x), ...x.slice(known)],
        y: [...Array.from(before.y), ...y.slice(known)],
      });
    }
    for (const each of more.header.quantities) {
      const quantity = this.quantities.get(each.name);
      if (!quantity || !each.values) continue;
      await quantity.ready();
      quantity.extend(each.steps, await more.values(each.values));
    }
    for (const name of ["layer_gradient_norm", "update_ratio"]) {
      const derived = this.quantities.get(name);
      if (derived) derived.loading = null;
    }
    if (more.header.theory) this.charts.theory = more;
    await this.charts.ready();
    await this.state.quantity.ready();
    this.steps.extend(union([...this.quantities.values()].map((each) => each.steps)));
    this.title(more.header);
    this.draw();
  }
}

/** @type {Record<string, string>} */
const STATES = {
  finished: "✓",
  running: "▶",
  stopped: "■",
  diverged: "✗",
  interrupted: "‖",
  failed: "!",
  pending: "…",
};

/** @type {Record<string, string>} */
const EXPLAINED = {
  loss: "What training minimises. Training: the mean over the last 20 batches logged near the end; validation: on rows that are not trained on.",
  "R²": "Share of the validation rows' variance that the network explains: 0 for predicting the mean, 1 at best.",
  "|dL/dx_0| / |dL/dx_L|":
    "Gradient ratio: the gradient at the input of the first block relative to that at the output of the last. Far below 1 it vanishes, far above 1 it explodes.",
  "growth per block": "The gradient ratio as a factor for each block.",
  theory:
    "How the norms at step 0 compare with their predictions; sd: standard deviation of the logarithm over seeds.",
  "held back": "What kept the run from learning more, and the setting that would change it.",
  "gradient flow":
    "Whether the gradient that reaches the first blocks is about as large as the one that left the last.",
};

const runPage = new RunPage(Data.ofPage());
runPage.start().then(() => live(runPage.data.header.live, runPage));
