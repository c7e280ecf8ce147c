// A figure's frame: caption, buttons, a place to draw, a line that is read out; saving as PNG and CSV.

/**
 * `colour` and `dash` tell lines apart, and so does `marker` where there is no colour. A value that
 * is not finite is marked at the upper edge, zero on a logarithmic axis at the lower one; `cross`:
 * what the mark at the upper edge says instead.
 * @typedef {{label: string, x: ArrayLike<number>, y: ArrayLike<number>, colour: string, dash?: number[],
 *   width?: number, marker?: "circle" | "square" | "diamond", thin?: boolean, says?: string}} Line
 * @typedef {{x: ArrayLike<number>, low: ArrayLike<number>, high: ArrayLike<number>, colour: string,
 *   hatched?: boolean}} Band
 * @typedef {{lines: Line[], bands?: Band[], guides?: {y: number, label: string}[], log: boolean,
 *   at?: number | null, x?: [number, number], y?: [number, number] | null, note?: string,
 *   empty?: string, axis?: string, names?: string[], ticks?: number[], nearest?: boolean,
 *   cross?: string}} Content
 * @typedef {{title: string, explanation?: string, x: string, y: string, name?: string,
 *   place?: (x: number) => string, fractions?: boolean, pick?: (x: number) => void}} About
 */

const HEIGHT = 230,
  FEW = 20,
  MOST_ENTRIES = 16;
const SHAPES = /** @type {const} */ (["circle", "square", "diamond"]);

/** A figure's frame: caption, buttons, a place to draw, a line of text that is read out. */
class Frame {
  /** @param {About} about */
  constructor(about) {
    this.about = about;
    this.plot = element("div", {
      class: "plot",
      role: "img",
      tabindex: 0,
      "data-keys": "",
      "aria-label": about.title,
    });
    this.readout = element("p", { class: "readout", "aria-live": "polite" });
    this.note = element("p", { class: "note" });
    this.legend = element("ul", { class: "legend" });
    this.heading = element("h3", {}, term(about.title, about.explanation ?? ""));
    this.root = element(
      "figure",
      { "data-chart": about.name ?? about.title },
      element(
        "figcaption",
        {},
        this.heading,
        button("PNG", () => this.savePicture(), `save “${about.title}” as PNG`),
        button("CSV", () => this.saveTable(), `save “${about.title}” as CSV`),
      ),
      this.note,
      this.plot,
      this.readout,
      this.legend,
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
    const chart = this.drawn.ctx.canvas,
      ratio = devicePixelRatio,
      above = 26 * ratio;
    const sheet = document.createElement("canvas");
    const to = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
    to.font = `${11 * ratio}px sans-serif`;
    let [x, y] = [8 * ratio, chart.height + above + 12 * ratio];
    const entries = [...this.legend.children].map((entry) => {
      const words = entry.textContent ?? "",
        look = entry.querySelector("canvas");
      const drawn = look ? (look.width / 2 + 4) * ratio : 0,
        width = drawn + to.measureText(words).width;
      if (x + width > chart.width && x > 8 * ratio) [x, y] = [8 * ratio, y + 16 * ratio];
      const placed = { words, look, x, y, drawn };
      x += width + 12 * ratio;
      return placed;
    });
    [sheet.width, sheet.height] = [chart.width, y + 6 * ratio];
    to.fillStyle = colour("--paper");
    to.fillRect(0, 0, sheet.width, sheet.height);
    to.drawImage(chart, 0, above);
    to.fillStyle = colour("--ink");
    to.font = `bold ${13 * ratio}px sans-serif`;
    const title = [this.about.title, this.note.textContent].filter(Boolean).join(" · ");
    to.fillText(title, 8 * ratio, 18 * ratio, sheet.width - 16 * ratio);
    to.font = `${11 * ratio}px sans-serif`;
    for (const { words, look, x, y, drawn } of entries) {
      if (look) {
        const [width, height] = [(look.width / 2) * ratio, (look.height / 2) * ratio];
        to.drawImage(look, x, y - 0.9 * height, width, height);
      }
      to.fillText(words, x + drawn, y);
    }
    sheet.toBlob((content) => content && download(`${this.about.title}.png`, content));
  }

  erase() {
    this.drawn?.destroy();
    this.drawn = null;
    this.plot.replaceChildren();
  }
}
