// A chart: uPlot for lines, axes and cursor; a legend whose entries switch lines on and off.

class Chart extends Frame {
  /** @param {About} about */
  constructor(about) {
    super(about);
    /** @type {Content} */
    this.content = { lines: [], log: false };
    /** @type {Set<string>} */
    this.hidden = new Set();
    this.key = "";
    this.plot.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) =>
      this.pressed(event),
    );
    onTheme(() => {
      this.key = "";
      this.show(this.content);
    });
  }

  /** @param {Content} content */
  show(content) {
    this.content = content;
    const marked = marks(content);
    this.note.textContent = [content.note, ...marked].filter(Boolean).join(" · ");
    this.describe();
    if (content.empty || !content.lines.some((line) => line.x.length)) {
      this.erase();
      this.legend.replaceChildren();
      this.readout.dataset.hint = "";
      this.plot.append(element("p", { class: "empty" }, content.empty || "nothing to show"));
      return;
    }
    this.readout.dataset.hint = `hover or ← → for values${this.about.pick ? "; click or Enter chooses" : ""}`;
    const looks = content.lines.map((line) => [line.label, line.colour, line.dash, line.marker]);
    const key = JSON.stringify([looks, content.log, content.guides, content.axis]);
    const data = this.aligned();
    if (this.drawn && key === this.key) {
      const [zoomed, x] = [this.zoomed, this.span];
      this.drawn.batch((/** @type {uPlot} */ u) => {
        u.setData(data, false);
        if (!zoomed) u.setScale("x", { min: x[0], max: x[1] });
        u.setScale("y", this.limits());
      });
    } else {
      this.erase();
      this.zoomed = false;
      this.key = key;
      this.drawn = new uPlot(this.options(), data, this.plot);
      this.entries();
    }
  }

  /** @returns {[number, number]} */
  get span() {
    if (this.content.x) return this.content.x;
    const ends = this.content.lines.flatMap((line) =>
      line.x.length ? [line.x[0], line.x[line.x.length - 1]] : [],
    );
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  }

  /** The lines over the union of their places, as uPlot takes them; a gap is null. */
  aligned() {
    const { lines, log } = this.content;
    const tables = lines.map((line) => [
      Array.from(line.x),
      Array.from(line.y, (y) => (Number.isFinite(y) && (y > 0 || !log) ? y : null)),
    ]);
    return /** @type {any} */ (uPlot.join(/** @type {any} */ (tables)));
  }

  /** The ends of the y axis: as asked for, or those of what is shown. */
  limits() {
    const { lines, bands = [], guides = [], log } = this.content;
    if (this.content.y) return { min: this.content.y[0], max: this.content.y[1] };
    const shown = lines.filter((line) => !this.hidden.has(line.label)).map((line) => line.y);
    const values = guides.map((guide) => guide.y);
    const [min, max] = extent(
      [...shown, ...bands.flatMap((band) => [band.low, band.high]), values],
      log,
    );
    return { min, max };
  }

  /** @returns {any} */
  options() {
    const ink = colour("--ink"),
      grid = { stroke: colour("--grid"), width: 1 };
    const axis = {
      stroke: ink,
      grid,
      ticks: { ...grid, size: 4 },
      font: "11px sans-serif",
      labelFont: "12px sans-serif",
    };
    const { log, lines } = this.content;
    return {
      width: this.plot.clientWidth || 400,
      height: this.height,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
      scales: {
        x: {
          time: false,
          range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) =>
            this.range(low, high),
        },
        y: { distr: log ? 3 : 1, range: () => Object.values(this.limits()) },
      },
      axes: [
        {
          ...axis,
          label: this.content.axis ?? this.about.x,
          labelSize: 16,
          size: 26,
          space: 50,
          incrs: this.about.fractions ? [0.1, 0.2, 0.5] : INTEGERS,
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) =>
            splits.map((at) => this.content.names?.[at] ?? String(at)),
          ...(this.content.ticks && namedAxis(() => this.content)),
        },
        {
          ...axis,
          label: this.about.y,
          labelSize: 18,
          size: 52,
          space: 26,
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(short),
          // uPlot asks for a distance that it knows; the ticks are ours
          incrs: (
            /** @type {any} */ _,
            /** @type {number} */ __,
            /** @type {number} */ low,
            /** @type {number} */ high,
          ) => [Math.max(5, high - low)],
          splits: (/** @type {any} */ u) =>
            (log ? decades : evenTicks)(u.scales.y.min, u.scales.y.max),
          filter: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits,
        },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: colour(line.colour),
          dash: line.dash,
          width: line.width ?? 1.6,
          points: { show: false },
          show: !this.hidden.has(line.label),
        })),
      ],
      hooks: {
        drawAxes: [(/** @type {uPlot} */ u) => drawBands(u, this.content)],
        draw: [(/** @type {uPlot} */ u) => drawOver(u, this.content, this.hidden)],
        setCursor: [(/** @type {uPlot} */ u) => this.read(u)],
        ready: [(/** @type {uPlot} */ u) => this.listen(u)],
      },
    };
  }

  /** @param {number} low @param {number} high @returns {[number, number]} */
  range(low, high) {
    const [start, end] = this.span;
    const ends = this.drawn?.data[0] ?? [];
    this.zoomed = ends.length > 0 && (low > ends[0] || high < ends[ends.length - 1]);
    return this.zoomed ? [low, high] : [start, end];
  }

  /** A click without a drag picks the place. @param {uPlot} u */
  listen(u) {
    u.over.addEventListener("click", () => {
      const index = u.cursor.idx;
      if (index !== null && index !== undefined && u.select.width < 3)
        this.about.pick?.(u.data[0][index]);
    });
  }

  /** The values at the cursor. @param {uPlot} u */
  read(u) {
    const index = u.cursor.idx;
    if (index === null || index === undefined) {
      this.readout.textContent = "";
      return;
    }
    const x = u.data[0][index];
    if (this.content.nearest) {
      this.readout.textContent = this.nearest(u, x);
      return;
    }
    const said = this.content.lines
      .filter((line) => !line.thin && !this.hidden.has(line.label))
      .map((line) => {
        const at = lastUpTo(line.x, x);
        const value = Number.isFinite(line.y[at]) ? undefined : this.content.cross;
        return line.x[at] === x ? `${line.label}: ${value ?? short(line.y[at])}` : "";
      });
    const place = this.about.place?.(x) ?? `${this.about.x} ${x}`;
    this.readout.textContent = [place, ...said.filter(Boolean).slice(0, 8)].join(" · ");
  }

  /** Which of many lines is nearest to the cursor, and its value. @param {uPlot} u @param {number} x */
  nearest(u, x) {
    const top = u.cursor.top ?? 0;
    let best = "",
      least = Infinity;
    for (const line of this.content.lines) {
      const at = lastUpTo(line.x, x),
        y = line.y[at];
      if (at < 0 || !placed(y, this.content.log) || this.hidden.has(line.label)) continue;
      const away = Math.abs(u.valToPos(y, "y") - top);
      if (away < least) [best, least] = [`${line.says ?? line.label} · ${short(y)}`, away];
    }
    return best && `${this.about.x} ${short(x)} · ${best}`;
  }

  /** The arrow keys move the cursor, enter picks its place. @param {KeyboardEvent} event */
  pressed(event) {
    const u = this.drawn;
    if (!u) return;
    const last = u.data[0].length - 1,
      now = u.cursor.idx ?? -1;
    const places = /** @type {Record<string, number>} */ ({
      ArrowLeft: now - 1,
      ArrowRight: now + 1,
      Home: 0,
      End: last,
      PageUp: now - 10,
      PageDown: now + 10,
    });
    if (event.key === "Enter" && now >= 0) this.about.pick?.(u.data[0][now]);
    else if (event.key in places) {
      const index = Math.min(Math.max(places[event.key], 0), last);
      u.setCursor({ left: u.valToPos(u.data[0][index], "x"), top: 10 });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** What the chart shows, in words. */
  describe() {
    const said = this.content.lines
      .filter((line) => !line.thin)
      .slice(0, 6)
      .map((line) => {
        const [least, most] = ends(line.y);
        return least === null
          ? `${line.label}: no finite value`
          : `${line.label}: from ${short(least)} to ${short(/** @type {number} */ (most))}`;
      });
    const words = [this.about.title, this.content.note, ...said].filter(Boolean).join("; ");
    this.plot.setAttribute("aria-label", this.content.empty || words);
  }

  entries() {
    const named = this.content.lines.filter((line) => !line.thin);
    const left = named.splice(MOST_ENTRIES).length;
    const guides = (this.content.guides ?? []).map((guide) =>
      element("li", { class: "guide" }, guide.label),
    );
    this.legend.replaceChildren(
      ...named.map((line) => {
        const entry = element(
          "button",
          { type: "button", "aria-pressed": !this.hidden.has(line.label) || "false" },
          sample(line),
          line.label,
        );
        entry.addEventListener("click", () => {
          if (!this.hidden.delete(line.label)) this.hidden.add(line.label);
          this.key = "";
          this.show(this.content);
        });
        return element("li", {}, entry);
      }),
      ...guides,
      ...(left ? [element("li", {}, `and ${left} more; hover to see their names`)] : []),
    );
  }

  table() {
    const { lines } = this.content;
    const places = union(lines.map((line) => line.x));
    return [
      [this.about.x, ...lines.map((line) => line.label)],
      ...places.map((x) => [
        full(x),
        ...lines.map((line) => {
          const at = lastUpTo(line.x, x);
          return line.x[at] === x ? full(line.y[at]) : "";
        }),
      ]),
    ];
  }
}
