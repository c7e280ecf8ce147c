// A chart: uPlot for lines, axes and cursor; bands, markers and what has no place on the axis drawn
// over them; a legend whose entries switch lines on and off; saving as PNG and CSV.

/**
 * `colour` and `dash` tell lines apart, and so does `marker` where there is no colour. A value that
 * is not finite is marked at the upper edge, zero on a logarithmic axis at the lower one.
 * @typedef {{label: string, x: ArrayLike<number>, y: ArrayLike<number>, colour: string, dash?: number[],
 *   width?: number, marker?: "circle" | "square" | "diamond", thin?: boolean, says?: string}} Line
 * @typedef {{x: ArrayLike<number>, low: ArrayLike<number>, high: ArrayLike<number>, colour: string,
 *   hatched?: boolean}} Band
 * @typedef {{lines: Line[], bands?: Band[], guides?: {y: number, label: string}[], log: boolean,
 *   at?: number | null, x?: [number, number], y?: [number, number] | null, note?: string,
 *   empty?: string, axis?: string, names?: string[], nearest?: boolean}} Content
 * @typedef {{title: string, explanation?: string, x: string, y: string, name?: string,
 *   place?: (x: number) => string, fractions?: boolean, pick?: (x: number) => void}} About
 */

const HEIGHT = 230, FEW = 20, MOST_ENTRIES = 16;
const SHAPES = /** @type {const} */ (["circle", "square", "diamond"]);

/** A figure's frame: caption, buttons, a place to draw, a line of text that is read out. */
class Frame {
  /** @param {About} about */
  constructor(about) {
    this.about = about;
    this.plot = element("div", {
      class: "plot", role: "img", tabindex: 0, "data-keys": "", "aria-label": about.title,
    });
    this.readout = element("p", { class: "readout", "aria-live": "polite" });
    this.note = element("p", { class: "note" });
    this.legend = element("ul", { class: "legend" });
    this.heading = element("h3", {}, term(about.title, about.explanation ?? ""));
    this.root = element(
      "figure", { "data-chart": about.name ?? about.title },
      element(
        "figcaption", {},
        this.heading,
        button("PNG", () => this.savePicture(), `save “${about.title}” as PNG`),
        button("CSV", () => this.saveTable(), `save “${about.title}” as CSV`),
      ),
      this.note, this.plot, this.readout, this.legend,
    );
    /** @type {uPlot | null} */
    this.drawn = null;
    new ResizeObserver(() => {
      const width = this.plot.clientWidth;
      if (this.drawn && width > 0 && width !== this.drawn.width) {
        this.drawn.setSize({ width, height: this.height });
      }
    }).observe(this.plot);
  }

  get height() {
    return HEIGHT;
  }

  /** Another title. @param {string} title */
  title(title) {
    this.about.title = title;
    this.heading.textContent = title;
  }

  /** @returns {string[][]} */
  table() {
    return [];
  }

  saveTable() {
    const lines = this.table().map((row) => row.map(quoted).join(","));
    download(`${this.about.title}.csv`, new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  }

  savePicture() {
    if (!this.drawn) return;
    const chart = this.drawn.ctx.canvas, ratio = devicePixelRatio, above = 26 * ratio;
    const entries = [...this.legend.children].map((entry) => entry.textContent ?? "");
    const sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [chart.width, chart.height + above + 18 * ratio];
    const to = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
    to.fillStyle = colour("--paper");
    to.fillRect(0, 0, sheet.width, sheet.height);
    to.drawImage(chart, 0, above);
    to.fillStyle = colour("--ink");
    to.font = `bold ${13 * ratio}px sans-serif`;
    to.fillText(this.about.title, 8 * ratio, 18 * ratio);
    to.font = `${11 * ratio}px sans-serif`;
    to.fillText(entries.join("   "), 8 * ratio, sheet.height - 6 * ratio, sheet.width - 16 * ratio);
    sheet.toBlob((content) => content && download(`${this.about.title}.png`, content));
  }

  erase() {
    this.drawn?.destroy();
    this.drawn = null;
    this.plot.replaceChildren();
  }
}

class Chart extends Frame {
  /** @param {About} about */
  constructor(about) {
    super(about);
    /** @type {Content} */
    this.content = { lines: [], log: false };
    /** @type {Set<string>} */
    this.hidden = new Set();
    this.key = "";
    this.plot.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.pressed(event));
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
      this.plot.append(element("p", { class: "empty" }, content.empty || "nothing to show"));
      return;
    }
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
      line.x.length ? [line.x[0], line.x[line.x.length - 1]] : []);
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
    const [min, max] = extent([...shown, ...bands.flatMap((band) => [band.low, band.high]), values], log);
    return { min, max };
  }

  /** @returns {any} */
  options() {
    const ink = colour("--ink"), grid = { stroke: colour("--grid"), width: 1 };
    const axis = { stroke: ink, grid, ticks: { ...grid, size: 4 }, font: "11px sans-serif", labelFont: "12px sans-serif" };
    const { log, lines } = this.content;
    return {
      width: this.plot.clientWidth || 400,
      height: this.height,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
      scales: {
        x: { time: false, range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => this.range(low, high) },
        y: { distr: log ? 3 : 1, range: () => Object.values(this.limits()) },
      },
      axes: [
        {
          ...axis, label: this.content.axis ?? this.about.x, labelSize: 16, size: 26, space: 50,
          incrs: this.about.fractions ? [0.1, 0.2, 0.5] : INTEGERS,
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((at) => this.content.names?.[at] ?? String(at)),
        },
        {
          ...axis, label: this.about.y, labelSize: 18, size: 52, space: 26,
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(short),
          // uPlot asks for a distance that it knows; the ticks are ours
          incrs: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ low, /** @type {number} */ high) => [Math.max(5, high - low)],
          splits: (/** @type {any} */ u) => (log ? decades : evenTicks)(u.scales.y.min, u.scales.y.max),
          filter: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits,
        },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label, stroke: colour(line.colour), dash: line.dash, width: line.width ?? 1.6,
          points: { show: false }, show: !this.hidden.has(line.label),
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
      if (index !== null && index !== undefined && u.select.width < 3) this.about.pick?.(u.data[0][index]);
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
    const said = this.content.lines.filter((line) => !line.thin && !this.hidden.has(line.label)).map((line) => {
      const at = lastUpTo(line.x, x);
      return line.x[at] === x ? `${line.label} ${short(line.y[at])}` : "";
    });
    const place = this.about.place?.(x) ?? `${this.about.x} ${x}`;
    this.readout.textContent = [place, ...said.filter(Boolean).slice(0, 8)].join(" · ");
  }

  /** Which of many lines is nearest to the cursor, and its value. @param {uPlot} u @param {number} x */
  nearest(u, x) {
    const top = u.cursor.top ?? 0;
    let best = "", least = Infinity;
    for (const line of this.content.lines) {
      const at = lastUpTo(line.x, x), y = line.y[at];
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
    const last = u.data[0].length - 1, now = u.cursor.idx ?? -1;
    const places = /** @type {Record<string, number>} */ ({
      ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, PageUp: now - 10, PageDown: now + 10,
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
    const said = this.content.lines.filter((line) => !line.thin).slice(0, 6).map((line) => {
      const [least, most] = ends(line.y);
      return least === null ? `${line.label}: no finite value`
        : `${line.label}: from ${short(least)} to ${short(/** @type {number} */ (most))}`;
    });
    const words = [this.about.title, this.content.note, ...said].filter(Boolean).join("; ");
    this.plot.setAttribute("aria-label", this.content.empty || words);
  }

  entries() {
    const named = this.content.lines.filter((line) => !line.thin);
    const left = named.splice(MOST_ENTRIES).length;
    const guides = (this.content.guides ?? []).map((guide) => element("li", { class: "guide" }, guide.label));
    this.legend.replaceChildren(...named.map((line) => {
      const entry = element("button", { type: "button", "aria-pressed": !this.hidden.has(line.label) || "false" },
        sample(line), line.label);
      entry.addEventListener("click", () => {
        if (!this.hidden.delete(line.label)) this.hidden.add(line.label);
        this.key = "";
        this.show(this.content);
      });
      return element("li", {}, entry);
    }), ...guides, ...(left ? [element("li", {}, `and ${left} more, which hovering names`)] : []));
  }

  table() {
    const { lines } = this.content;
    const places = union(lines.map((line) => line.x));
    return [
      [this.about.x, ...lines.map((line) => line.label)],
      ...places.map((x) => [full(x), ...lines.map((line) => {
        const at = lastUpTo(line.x, x);
        return line.x[at] === x ? full(line.y[at]) : "";
      })]),
    ];
  }
}

const INTEGERS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7, 1e8];

/** A line as the legend shows it. @param {Line} line */
function sample(line) {
  const canvas = element("canvas", { width: 56, height: 20, class: "sample", "aria-hidden": true });
  const to = canvas.getContext("2d");
  to.scale(2, 2);
  to.strokeStyle = to.fillStyle = colour(line.colour);
  to.lineWidth = line.width ?? 1.6;
  to.setLineDash(line.dash ?? []);
  to.beginPath();
  to.moveTo(0, 5);
  to.lineTo(28, 5);
  to.stroke();
  to.setLineDash([]);
  if (line.marker) shape(to, line.marker, 14, 5, 3);
  return canvas;
}

/** @param {CanvasRenderingContext2D} to @param {string} kind @param {number} x @param {number} y @param {number} size */
function shape(to, kind, x, y, size) {
  to.beginPath();
  if (kind === "circle") to.arc(x, y, size, 0, 7);
  else if (kind === "square") to.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
  else {
    to.moveTo(x, y - size * 1.3);
    for (const [dx, dy] of [[1.3, 0], [0, 1.3], [-1.3, 0]]) to.lineTo(x + dx * size, y + dy * size);
    to.closePath();
  }
  to.fill();
}

/** @param {uPlot} u @param {Content} content */
function drawBands(u, content) {
  for (const band of content.bands ?? []) {
    const to = u.ctx;
    const x = Array.from(band.x), held = (/** @type {number} */ y) =>
      u.valToPos(content.log ? Math.max(y, Number.MIN_VALUE) : y, "y", true);
    const edge = (/** @type {ArrayLike<number>} */ y, /** @type {number} */ at) => held(y[at]);
    to.save();
    clipped(u);
    to.beginPath();
    const known = x.map((_, at) => at).filter((at) => Number.isFinite(band.low[at]) && Number.isFinite(band.high[at]));
    const pad = x.length === 1 ? 8 : 0;
    for (const at of known) to.lineTo(u.valToPos(x[at], "x", true) - pad, edge(band.high, at));
    if (pad) for (const at of known) to.lineTo(u.valToPos(x[at], "x", true) + pad, edge(band.high, at));
    for (const at of known.reverse()) to.lineTo(u.valToPos(x[at], "x", true) + pad, edge(band.low, at));
    if (pad) for (const at of known) to.lineTo(u.valToPos(x[at], "x", true) - pad, edge(band.low, at));
    to.closePath();
    to.globalAlpha = 0.22;
    to.fillStyle = band.hatched ? hatching(to, colour(band.colour)) : colour(band.colour);
    to.fill();
    to.restore();
  }
}

/** @param {CanvasRenderingContext2D} to @param {string} ink */
function hatching(to, ink) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const on = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  on.strokeStyle = ink;
  on.lineWidth = 3;
  on.beginPath();
  on.moveTo(-2, 10);
  on.lineTo(10, -2);
  on.stroke();
  return /** @type {CanvasPattern} */ (to.createPattern(tile, "repeat"));
}

/** Draw within the axes alone, or a little beyond. @param {uPlot} u @param {number} [beyond] */
function clipped(u, beyond = 0) {
  u.ctx.beginPath();
  u.ctx.rect(u.bbox.left - beyond, u.bbox.top - beyond, u.bbox.width + 2 * beyond, u.bbox.height + 2 * beyond);
  u.ctx.clip();
}

/**
 * Guides, the chosen step, markers, and what has no place on the axis.
 * @param {uPlot} u @param {Content} content @param {Set<string>} hidden
 */
function drawOver(u, content, hidden) {
  const to = u.ctx, ratio = devicePixelRatio, { left, top, width, height } = u.bbox;
  to.save();
  clipped(u, 4 * ratio);
  for (const guide of content.guides ?? []) {
    stroke(to, colour("--muted"), [6 * ratio, 4 * ratio], left, u.valToPos(guide.y, "y", true), left + width, null);
  }
  if (content.at !== null && content.at !== undefined) {
    stroke(to, colour("--ink"), [2 * ratio, 2 * ratio], u.valToPos(content.at, "x", true), top, null, top + height);
  }
  for (const line of content.lines) {
    if (hidden.has(line.label) || line.thin) continue;
    to.fillStyle = colour(line.colour);
    let before = -Infinity;
    for (let at = 0; at < line.x.length; at++) {
      if (!placed(line.y[at], content.log)) continue;
      const x = u.valToPos(line.x[at], "x", true), y = u.valToPos(line.y[at], "y", true);
      const alone = !placed(line.y[at - 1], content.log) && !placed(line.y[at + 1], content.log);
      if (line.marker ? x - before > 22 * ratio || alone : alone || line.x.length <= FEW) {
        shape(to, line.marker ?? "circle", x, y, (line.marker ? 3 : 2) * ratio);
        before = x;
      }
    }
  }
  to.restore();
  for (const [index, line] of content.lines.filter((line) => !hidden.has(line.label)).entries()) {
    edgeMarks(u, line, content.log, index);
  }
}

/** @param {number | undefined} y @param {boolean} log */
function placed(y, log) {
  return y !== undefined && Number.isFinite(y) && (y > 0 || !log);
}

/** Crosses at the upper edge, triangles at the lower one. @param {uPlot} u @param {Line} line @param {boolean} log @param {number} index */
function edgeMarks(u, line, log, index) {
  const to = u.ctx, ratio = devicePixelRatio, size = 3.2 * ratio;
  const before = { lost: -Infinity, zero: -Infinity };
  for (let at = 0; at < line.x.length; at++) {
    const kind = !Number.isFinite(line.y[at]) ? "lost" : log && line.y[at] === 0 ? "zero" : null;
    const x = u.valToPos(line.x[at], "x", true);
    if (kind === null || x - before[kind] < 2 * size || x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    before[kind] = x;
    const y = kind === "lost" ? u.bbox.top + size + Math.min(index, 3) * size : u.bbox.top + u.bbox.height - size;
    to.setLineDash([]);
    to.strokeStyle = to.fillStyle = colour(kind === "lost" ? "--bad" : line.colour);
    to.lineWidth = 1.6 * ratio;
    to.beginPath();
    if (kind === "lost") {
      to.moveTo(x - size, y - size);
      to.lineTo(x + size, y + size);
      to.moveTo(x - size, y + size);
      to.lineTo(x + size, y - size);
      to.stroke();
    } else {
      to.moveTo(x - size, y - size);
      to.lineTo(x + size, y - size);
      to.lineTo(x, y + size);
      to.fill();
    }
  }
}

/** @param {CanvasRenderingContext2D} to @param {string} ink @param {number[]} dash @param {number} x @param {number} y @param {number | null} right @param {number | null} bottom */
function stroke(to, ink, dash, x, y, right, bottom) {
  to.strokeStyle = ink;
  to.lineWidth = devicePixelRatio;
  to.setLineDash(dash);
  to.beginPath();
  to.moveTo(x, y);
  to.lineTo(right ?? x, bottom ?? y);
  to.stroke();
  to.setLineDash([]);
}

/** In words what is marked at the edges. @param {Content} content */
function marks(content) {
  const values = content.lines.map((line) => Array.from(line.y));
  const lost = values.some((line) => line.some((y) => !Number.isFinite(y)));
  const zero = content.log && values.some((line) => line.some((y) => y === 0));
  return [lost ? "× not finite" : "", zero ? "▾ zero" : ""];
}

/** The least and the largest finite value. @param {ArrayLike<number>} values @returns {[number | null, number | null]} */
function ends(values) {
  let least = null, most = null;
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    if (!Number.isFinite(value)) continue;
    if (least === null || value < least) least = value;
    if (most === null || value > most) most = value;
  }
  return [least, most];
}

/** The ends of an axis on which these have room. @param {ArrayLike<number>[]} lists @param {boolean} log @returns {[number, number]} */
function extent(lists, log) {
  let low = Infinity, high = -Infinity;
  for (const values of lists) {
    for (let at = 0; at < values.length; at++) {
      const value = values[at];
      if (!placed(value, log)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return log ? [0.1, 10] : [0, 1];
  if (log) {
    const room = Math.max(Math.pow(high / low, 0.06), 1.15);
    return [Math.max(low / room, Number.MIN_VALUE), Math.min(high * room, Number.MAX_VALUE)];
  }
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/** Ticks of a linear axis: round numbers at even distances. @param {number} low @param {number} high */
function evenTicks(low, high) {
  const power = Math.floor(Math.log10(high - low));
  const apart = [`0.2e${power}`, `0.5e${power}`, `1e${power}`, `2e${power}`, `5e${power}`].map(Number).find((each) => (high - low) / each <= 6);
  const ticks = [];
  for (let at = Math.ceil(low / Number(apart)); at * Number(apart) <= high; at++) ticks.push(at * Number(apart));
  return ticks;
}

/** Ticks of a logarithmic axis. @param {number} low @param {number} high */
function decades(low, high) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const apart = Math.max(1, Math.ceil((last - first) / 7));
  const steps = last - first <= 1 ? [1, 1.5, 2, 3, 5, 7] : last - first <= 3 ? [1, 3] : [1];
  const ticks = [];
  for (let power = Math.ceil(first / apart) * apart; power <= last; power += apart) {
    for (const step of steps) {
      const tick = Number(`${step}e${power}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks.length > 2 ? ticks : evenTicks(low, high);
}
