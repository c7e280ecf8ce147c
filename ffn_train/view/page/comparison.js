// The page of a comparison: one filter, one choice of axis, colour, panel and metric, one step.

const DASHES = [undefined, [7, 3], [2, 3], [9, 3, 2, 3]],
  MOST_LINES = 60,
  MOST_THIN = 400,
  MOST_PANELS = 9,
  MOST_BANDS = 6;

class ComparisonPage {
  /** @param {Data} data */
  constructor(data) {
    this.data = data;
    const { roles, metric } = data.header;
    this.runs = new Runs(data.header, []);
    this.state = {
      x: roles.x ?? 0,
      color: roles.color,
      panel: roles.panel,
      metric,
      words: "",
      rows: "groups",
      /** @type {{name: string, runs: Set<string>} | null} */ open: null,
    };
    this.steps = new StepControl([], () => this.drawFlow());
    /** @type {(label: string, id: "x" | "color" | "panel" | "metric") => HTMLElement} */
    const select = (label, id) =>
      choice(`${label} `, id, [], (value) => {
        this.state[id] = value === "" ? null : Number(value);
        this.draw();
      });
    this.filter = element("input", {
      id: "filter",
      type: "search",
      size: 28,
      placeholder: "depth>=16 residual!=none",
      input: () => {
        this.state.words = this.filter.value;
        this.draw();
      },
    });
    this.said = element("p", { class: "said", "aria-live": "polite" });
    this.table = new Table((row) =>
      this.state.rows === "groups" ? this.open(row.name, row.runs) : this.open(row.label, [row]),
    );
    this.map = element("div", { class: "scroll", "data-part": "map" });
    this.panels = element("div", { class: "charts", "data-part": "metric" });
    /** @type {Chart[]} */
    this.charts = [];
    this.curves = new Chart({
      name: "curves",
      title: "Loss over steps",
      x: "step",
      y: "loss",
      explanation:
        "Thin lines: runs; thick lines: means of groups at the steps that their runs have in common, with a band of a standard deviation. Runs that diverged or were stopped are not averaged, nor are unfinished ones where others have ended. Lines are means over bins where a run has many rows.",
    });
    this.flow = new Chart({
      name: "flow",
      fractions: true,
      title: "Gradient flow",
      x: "relative depth l/L",
      y: "|∂L/∂x_l| / |∂L/∂x_L|",
      explanation:
        "Size of the signal gradient relative to the one at the output of the last block, at the slider's step. After the first step, runs that diverged or were stopped are not averaged.",
    });
    this.pair = new Pair(() => this.drawFlow());
    this.top = element("header", {});
    const rows = choice(
      "rows ",
      "rows",
      [
        { value: "groups", text: "groups" },
        { value: "runs", text: "runs" },
      ],
      (value) => {
        this.state.rows = value;
        this.draw();
      },
    );
    document.body.append(
      this.top,
      element(
        "main",
        {},
        element(
          "div",
          { class: "controls" },
          select("x", "x"),
          select("colour", "color"),
          select("panel", "panel"),
          select("metric", "metric"),
          element("label", { class: "choice" }, "filter ", this.filter),
          this.steps.root,
        ),
        this.said,
        this.panels,
        element("div", { class: "charts" }, this.curves.root, this.flow.root),
        element("h2", {}, "Trainability map"),
        this.map,
        element("h2", {}, "Table"),
        rows,
        this.table.root,
        this.pair.root,
      ),
      element(
        "footer",
        {},
        element(
          "p",
          {},
          "A click on a heading sorts; a click on a cell of the map, or on the first cell of a row of the table, opens its runs. Charts: uPlot, MIT licence.",
        ),
      ),
    );
  }

  async start() {
    await this.take(this.data);
    ready();
  }

  /** @param {Data} data */
  async take(data) {
    const before = this.runs;
    this.data = data;
    this.runs = await Runs.from(data, before);
    this.offer(before);
    const { header } = data;
    this.top.replaceChildren(
      element("h1", {}, header.name),
      element("p", {}, header.counts),
      ...header.notes
        .filter(Boolean)
        .map((/** @type {string} */ note) => element("p", { class: "note" }, note)),
      element("p", { class: "note" }, header.shared),
    );
    this.steps.extend(union(this.runs.all.map((run) => run.flow.steps)));
    this.pair.use(this.runs);
    this.draw();
  }

  /** Offer the settings and metrics that there are; what is chosen stays so. @param {Runs} before */
  offer(before) {
    const named = (/** @type {Runs} */ runs, /** @type {string} */ id) =>
      id === "metric"
        ? runs.metrics.map(({ name, label }) => ({ key: name, text: label }))
        : runs.settings.map(({ key, short }) => ({ key, text: short }));
    for (const id of /** @type {const} */ (["x", "color", "panel", "metric"])) {
      const now = named(this.runs, id),
        chosen = named(before, id)[this.state[id] ?? -1],
        at = now.findIndex(({ key }) => key === chosen?.key),
        optional = id === "color" || id === "panel";
      this.state[id] = at >= 0 ? at : optional ? null : 0;
      const options = now.map(({ text }, value) => element("option", { value }, text));
      if (optional) options.unshift(element("option", { value: "" }, "–"));
      const select = /** @type {HTMLSelectElement} */ (document.getElementById(id));
      // one that is open would close
      if (select.textContent !== options.map((each) => each.textContent).join(""))
        select.replaceChildren(...options);
      select.value = String(this.state[id] ?? "");
    }
  }

  since() {
    return `&after=${encodeURIComponent(this.data.header.version ?? "")}`;
  }

  /** @param {Data} more */
  async extend(more) {
    await this.take(more);
  }

  /** Show these runs alone in the charts, or all again. @param {string} name @param {Run[]} runs */
  open(name, runs) {
    this.state.open =
      this.state.open?.name === name ? null : { name, runs: new Set(runs.map((run) => run.label)) };
    this.draw();
  }

  draw() {
    const { state, runs } = this,
      { open } = state;
    const { runs: shown, mistakes } = runs.matching(state.words);
    this.filter.setAttribute("aria-invalid", String(!shown.length));
    this.shown = shown;
    this.chosen = open ? shown.filter((run) => open.runs.has(run.label)) : shown;
    this.groups = runs.groups(this.chosen, runs.by);
    this.said.replaceChildren(
      [`${shown.length} of ${runs.all.length} runs`, ...mistakes].join("; "),
      ...(open
        ? [`; opened: ${open.name} `, button("show all", () => this.open(open.name, []))]
        : []),
    );
    this.drawPanels();
    this.drawCurves();
    this.drawFlow();
    const second = state.color ?? state.panel;
    this.map.replaceChildren(
      second === null || second === state.x || state.x === null
        ? element("p", { class: "note" }, "choose a colour for a map over two settings")
        : trainabilityMap(runs, shown, state.x, second, state.metric ?? 0, (name, inside) =>
            this.open(name, inside),
          ),
    );
    this.drawTable();
  }

  /** The look of a place among the settings: colour by the colour's value, dash and marker beside it. @param {number[]} at @param {number} order */
  look(at, order) {
    const { color } = this.state,
      level = color === null ? order : at[color];
    const several =
      new Set((this.groups ?? []).map((group) => (color === null ? 0 : group.at[color]))).size <
      (this.groups?.length ?? 0);
    return {
      colour: `--c${level % 8}`,
      dash: DASHES[(several ? order : Math.floor(level / 8)) % DASHES.length],
      marker: SHAPES[level % SHAPES.length],
    };
  }

  /** The metric over x, a line for each colour, a chart for each panel. */
  drawPanels() {
    const { runs, state } = this,
      { x, color, panel } = state,
      metric = state.metric ?? 0,
      about = runs.metrics[metric];
    const places =
      panel === null
        ? [null]
        : [...new Set((this.shown ?? []).map((run) => run.at[panel]))]
            .sort((a, b) => a - b)
            .slice(0, MOST_PANELS);
    const xs = x === null ? 0 : x,
      names = runs.settings[xs]?.levels.map((level) => level.text) ?? [];
    const measured = (this.chosen ?? []).filter((run) => run.measured),
      values = measured.map((run) => run.values[metric]).filter(Number.isFinite),
      log = about.log && values.every((value) => value >= 0) && values.some((value) => value > 0);
    const least = about.least ?? -Infinity,
      most = about.most ?? Infinity,
      inside = (/** @type {number} */ value) => value >= least && value <= most,
      seen = 2 * values.filter(inside).length >= values.length ? inside : Number.isFinite;
    /** @type {number[]} the means that the axis shows, and their bands */
    const ends = [];
    const mixed = (/** @type {Group} */ point) => runs.apart(point.runs, metric);
    /** @type {Content[]} */
    const contents = places.map((place) => {
      const inside = measured.filter((run) => place === null || run.at[panel ?? 0] === place);
      const lines = runs.groups(inside, color === null ? [] : [color]).map((group, order) => {
        const points = runs
          .groups(group.runs, [xs])
          .filter((point) => !mixed(point))
          .map((point) => ({
            at: point.at[xs],
            statistics: runs.statistics(point.runs, metric, log),
            missing: runs.missing(point.runs, metric),
          }));
        for (const { statistics } of points)
          if (seen(statistics.mean))
            ends.push(...[statistics.mean, statistics.low, statistics.high].filter(seen));
        return { group, order, points };
      });
      /** @type {Line[]} */
      const drawn = lines.map(({ group, order, points }) => ({
        label: color === null ? "all" : runs.named([color], group.at),
        says: group.name,
        x: points.map((point) => point.at),
        y: points.map((point) => (point.statistics.n ? point.statistics.mean : NaN)),
        ...this.look(group.at, order),
        width: 1.8,
      }));
      const bands = lines.flatMap(({ points }, at) =>
        points.some((point) => point.statistics.spread > 0)
          ? [
              {
                x: points.map((point) => point.at),
                low: points.map(({ statistics }) => (seen(statistics.mean) ? statistics.low : NaN)),
                high: points.map(({ statistics }) => (seen(statistics.mean) ? statistics.high : NaN)),
                colour: drawn[at].colour,
              },
            ]
          : [],
      );
      const title =
        place === null || panel === null
          ? ""
          : `${runs.settings[panel].short} ${runs.settings[panel].levels[place].text}`;
      const without =
        runs.groups(inside, color === null ? [xs] : [color, xs]).some(mixed) &&
        `no mean: the runs ${about.apart}`;
      const empty = lines.flatMap(({ points }) => points.filter((point) => !point.statistics.n));
      return {
        lines: drawn,
        bands,
        log,
        cross: [...new Set(empty.map((point) => point.missing))].join(", ") || undefined,
        names,
        ticks: names.map((_, at) => at),
        axis: runs.settings[xs]?.short,
        x: [-0.3, names.length - 0.7],
        note: [title, about.unit, without].filter(Boolean).join(" · "),
      };
    });
    const together = extent([ends], log);
    while (this.charts.length > contents.length) this.charts.pop()?.root.remove();
    contents.forEach((content, at) => {
      if (!this.charts[at]) {
        this.charts[at] = new Chart({
          name: `metric_${at}`,
          title: "Metric",
          x: "",
          y: "",
          place: (value) => {
            const { short, levels } = this.runs.settings[this.state.x ?? 0];
            return `${short} ${levels[value]?.text}`;
          },
        });
        this.panels.append(this.charts[at].root);
      }
      this.charts[at].title(about.label);
      this.charts[at].show({ ...content, y: together });
    });
  }

  /** Runs thin under the means of their groups. */
  drawCurves() {
    const { runs, state } = this,
      name = runs.metrics[state.metric ?? 0]?.name.includes("train")
        ? "train_loss"
        : "validation_loss";
    this.thickAndThin(this.curves, {
      curve: (run) => untilLost(run, name),
      kind: "loss",
      places: common,
      atStart: false,
      ofLost: 1,
      ceiling: this.data.header.ceiling ?? Infinity,
      note: name.replace("_", " "),
      cross: "diverged or stopped",
    });
  }

  drawFlow() {
    const { step, index } = this.steps;
    this.thickAndThin(this.flow, {
      curve: (run) => relativeFlow(run, step),
      kind: "flow",
      places: longest,
      atStart: index === 0,
      ofLost: 0,
      ceiling: Infinity,
      note: `step ${step}, or the last measured before`,
    });
    this.pair.show("validation_loss", step);
  }

  /**
   * `kind`: what the curves are, of which other quantities have no mean; `places`: where curves are averaged;
   * `atStart`: runs that are lost later count, too; the axis shows so many first values `ofLost` runs, unless there are
   * no others, and none above `ceiling`.
   * @param {Chart} chart
   * @param {{curve: (run: Run) => Curve, kind: string, places: (curves: Curve[]) => number[], atStart: boolean,
   *   ofLost: number, ceiling: number, note: string, cross?: string}} of
   */
  thickAndThin(chart, { curve, kind, places, atStart, ofLost, ceiling, note, cross }) {
    const groups = (this.groups ?? []).filter((group) => group.runs.some((run) => run.measured)),
      drawn = groups.slice(0, MOST_LINES);
    const several = drawn.some((group) => group.runs.length > 1),
      all = drawn.flatMap((group) => group.runs.filter((run) => run.measured)),
      whole = atStart || all.every((run) => run.lost);
    const log = all.every((run) => Array.from(curve(run).y).every((value) => !(value < 0)));
    /** @type {Line[]} */
    const thin =
      several && all.length <= MOST_THIN
        ? drawn.flatMap((group, order) =>
            group.runs.length > 1
              ? group.runs.map((run) => ({
                  label: group.name,
                  says: this.says(run),
                  ...curve(run),
                  colour: this.look(group.at, order).colour,
                  width: 0.6,
                  thin: true,
                }))
              : [],
          )
        : [];
    /** @type {Band[]} */
    const bands = [];
    const thick = drawn.map((group, order) => {
      const look = this.look(group.at, order),
        counted =
          group.runs.length > 1 ? alike(counting(group.runs, atStart), kind) : group.runs,
        known = counted.filter((run) => curve(run).x.length);
      if (known.length < 2) {
        return {
          label: group.name,
          says: known.length ? this.says(known[0]) : group.name,
          ...(known.length ? curve(known[0]) : { x: [], y: [] }),
          ...look,
        };
      }
      const curves = known.map(curve),
        mean = averaged(curves, places(curves), log);
      if (drawn.length <= MOST_BANDS)
        bands.push({ x: mean.x, low: mean.low, high: mean.high, colour: look.colour });
      return { label: group.name, x: mean.x, y: mean.mean, ...look, width: 2.2 };
    });
    const y = extent(
      all.map((run) =>
        Array.from(curve(run).y)
          .slice(0, run.lost && !whole ? ofLost : undefined)
          .filter((value) => value <= ceiling),
      ),
      log,
    );
    const left =
      groups.length > drawn.length
        ? `${drawn.length} of ${groups.length} groups: filter or open some`
        : "";
    chart.show({
      lines: [...thin, ...thick],
      bands,
      log,
      y,
      note: [note, left].filter(Boolean).join(" · "),
      cross,
      nearest: true,
    });
  }

  /** A run's name and what differs. @param {Run} run */
  says(run) {
    return `${run.label}: ${this.runs.named(
      this.runs.settings.map((_, at) => at),
      run.at,
    )}${run.lost ? `, ${run.state}` : ""}`;
  }

  drawTable() {
    const { runs, state } = this,
      { open } = state;
    const setting = (/** @type {number} */ at) => ({
      label: runs.settings[at].short,
      value: (/** @type {any} */ row) =>
        runs.settings[at].levels[row.at[at]].number ?? runs.text(at, row.at),
      shown: (/** @type {any} */ row) => runs.text(at, row.at),
    });
    const first = state.metric ?? 0,
      metrics = [first, ...runs.metrics.map((_, at) => at).filter((at) => at !== first)];
    if (state.rows === "groups") {
      this.table.show(
        [
          { label: "group", value: (group) => group.name },
          ...runs.by.map(setting),
          { label: "runs", value: (group) => group.runs.length },
          {
            label: "lost",
            value: (group) => group.runs.filter((/** @type {Run} */ run) => run.lost).length,
            explanation: "runs that diverged or were stopped",
          },
          ...metrics.map((at) => ({
            label: runs.metrics[at].label,
            value: (/** @type {Group} */ group) => runs.statistics(group.runs, at).mean,
            shown: (/** @type {Group} */ group) => spreadWords(runs.statistics(group.runs, at)),
          })),
        ],
        runs.groups(this.shown ?? [], runs.by),
        (group) => open?.name === group.name,
      );
    } else {
      this.table.show(
        [
          { label: "run", value: (run) => run.label },
          ...runs.settings.map((_, at) => setting(at)),
          { label: "state", value: (run) => run.state },
          ...metrics.map((at) => ({
            label: runs.metrics[at].label,
            value: (/** @type {Run} */ run) => run.values[at],
            shown: (/** @type {Run} */ run) => numberWords(run.values[at]),
          })),
        ],
        this.shown ?? [],
        (run) => open?.name === run.label,
      );
    }
  }
}

/** A run's curve; of a lost run on to a gap at its last step. @param {Run} run @param {string} name @returns {Curve} */
function untilLost(run, name) {
  const { x, y } = run.curves[name];
  if (!run.lost || run.last === null || !Number.isFinite(y[y.length - 1] ?? 0)) return { x, y };
  return { x: [...Array.from(x), run.last], y: [...Array.from(y), NaN] };
}

const comparisonPage = new ComparisonPage(Data.ofPage());
comparisonPage.start().then(() => live(comparisonPage.data.header.live, comparisonPage));
