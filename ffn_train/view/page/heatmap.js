// The heat map: a quantity of every layer, block or tensor over the steps.

const SCALE = [
  // cividis: evenly lighter, for those who see no red or green too
  [0, 34, 78],
  [33, 59, 110],
  [76, 85, 108],
  [108, 110, 114],
  [142, 137, 120],
  [178, 165, 112],
  [217, 195, 92],
  [254, 232, 56],
];

/** @param {number} share from 0 to 1 */
function shade(share) {
  const at = Math.min(Math.max(share, 0), 1) * (SCALE.length - 1),
    below = Math.min(Math.floor(at), SCALE.length - 2);
  return SCALE[below].map((part, index) =>
    Math.round(part + (at - below) * (SCALE[below + 1][index] - part)),
  );
}

class HeatMap extends Frame {
  /** @param {About & {choose: (step: number, place: number) => void}} about */
  constructor(about) {
    super(about);
    this.choose = about.choose;
    /** @type {Quantity | null} */
    this.quantity = null;
    this.log = true;
    this.step = 0;
    this.place = 0;
    this.plot.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) =>
      this.pressed(event),
    );
    onTheme(() => this.quantity && this.show(this.quantity, this.log, this.step, this.place, true));
  }

  get height() {
    return 300;
  }

  /**
   * @param {Quantity} quantity @param {boolean} log @param {number} step @param {number} place
   * @param {boolean} [anew]
   */
  show(quantity, log, step, place, anew = false) {
    const same =
      !anew &&
      quantity === this.quantity &&
      log === this.log &&
      quantity.steps.length === this.count;
    [this.quantity, this.log, this.step, this.place] = [quantity, log, step, place];
    this.count = quantity.steps.length;
    const row = lastUpTo(quantity.steps, step);
    const value = row < 0 ? NaN : quantity.at(row)[place];
    const where = `${quantity.title}: ${quantity.places[place]?.name} at step ${quantity.steps[row]}`;
    this.plot.setAttribute(
      "aria-label",
      `heat map of ${where}, ${quantity.says(value)}; arrow keys choose`,
    );
    if (same && this.drawn) {
      this.drawn.redraw(false);
      return;
    }
    this.erase();
    this.legend.replaceChildren();
    if (quantity.absent || !quantity.steps.length || quantity.single) {
      const why = quantity.absent
        ? `does not apply: ${quantity.absent}`
        : quantity.steps.length
          ? "one number at each step: its curve is beside"
          : "no step was measured";
      this.note.textContent = "";
      this.plot.append(element("p", { class: "empty" }, why));
      return;
    }
    this.paintCells();
    this.drawn = new uPlot(
      this.options(),
      [quantity.steps, quantity.steps.map(() => null)],
      this.plot,
    );
    if ((this.marked ?? []).length < quantity.values.length) this.legend.append(...this.scale());
  }

  /** A small picture with a pixel for each cell, which is drawn stretched. */
  paintCells() {
    const quantity = /** @type {Quantity} */ (this.quantity),
      columns = quantity.columns;
    const rows = quantity.steps.length;
    this.ends = extent([quantity.values], this.log).map((end) => end);
    const [least, most] = valueEnds(quantity.values, this.log);
    const to = (/** @type {number} */ value) => (this.log ? Math.log10(value) : value);
    const low = to(least),
      span = to(most) - low || 1;
    this.range = [least, most];
    const image = new ImageData(rows, columns);
    /** @type {{row: number, place: number, lost: boolean}[]} */
    this.marked = [];
    for (let row = 0; row < rows; row++) {
      for (let place = 0; place < columns; place++) {
        const value = quantity.values[row * columns + place];
        const at = 4 * ((columns - 1 - place) * rows + row);
        const lost = !Number.isFinite(value),
          zero = this.log && value <= 0;
        if (lost || zero) this.marked.push({ row, place, lost });
        image.data.set(
          lost
            ? [216, 27, 27, 255]
            : zero
              ? [0, 0, 0, 255]
              : [...shade((to(value) - low) / span), 255],
          at,
        );
      }
    }
    this.cells = document.createElement("canvas");
    [this.cells.width, this.cells.height] = [rows, columns];
    this.cells.getContext("2d")?.putImageData(image, 0, 0);
    const words = [
      this.marked.some((mark) => mark.lost) ? `red: ${quantity.lost}` : "",
      this.marked.some((mark) => !mark.lost) ? "black: zero" : "",
    ];
    this.note.textContent = words.filter(Boolean).join(" · ");
    this.readout.dataset.hint = "hover or arrow keys for values; a click chooses";
  }

  /** Where the cell of a step begins and ends: midway to its neighbours. @param {number} row @returns {[number, number]} */
  cell(row) {
    const steps = /** @type {Quantity} */ (this.quantity).steps,
      last = steps.length - 1;
    if (last === 0) return [steps[0] - 0.5, steps[0] + 0.5];
    const middle = (/** @type {number} */ at) => (steps[at] + steps[at + 1]) / 2;
    return [
      row > 0 ? middle(row - 1) : 1.5 * steps[0] - 0.5 * steps[1],
      row < last ? middle(row) : 1.5 * steps[last] - 0.5 * steps[last - 1],
    ];
  }

  /** @returns {any} */
  options() {
    const quantity = /** @type {Quantity} */ (this.quantity),
      ink = colour("--ink"),
      columns = quantity.columns;
    const axis = {
      stroke: ink,
      grid: { show: false },
      ticks: { stroke: colour("--grid"), width: 1, size: 4 },
      font: "11px sans-serif",
      labelFont: "12px sans-serif",
    };
    return {
      width: this.plot.clientWidth || 400,
      height: this.height,
      legend: { show: false },
      cursor: { points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: () => [this.cell(0)[0], this.cell(quantity.steps.length - 1)[1]] },
        y: { range: () => [-0.5, columns - 0.5] },
      },
      axes: [
        {
          ...axis,
          label: "step",
          labelSize: 16,
          size: 26,
          incrs: INTEGERS,
          space: 50,
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) =>
            splits.map((at) =>
              at < quantity.steps[0] || at > quantity.steps[quantity.steps.length - 1]
                ? ""
                : String(at),
            ),
        },
        {
          ...axis,
          label: quantity.axis,
          labelSize: 18,
          size: 64,
          splits: () => labelled(quantity.places),
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) =>
            splits.map((at) => quantity.places[at]?.brief ?? ""),
        },
      ],
      series: [{}, { points: { show: false } }],
      hooks: {
        draw: [(/** @type {uPlot} */ u) => this.paint(u)],
        setCursor: [(/** @type {uPlot} */ u) => this.read(u)],
        ready: [
          (/** @type {uPlot} */ u) =>
            u.over.addEventListener("click", () => {
              const at = this.under(u);
              if (at) this.choose(quantity.steps[at.row], at.place);
            }),
        ],
      },
    };
  }

  /** @param {uPlot} u */
  paint(u) {
    const quantity = /** @type {Quantity} */ (this.quantity),
      to = u.ctx,
      { top, height } = u.bbox;
    const rows = quantity.steps.length,
      columns = quantity.columns,
      ratio = devicePixelRatio;
    to.save();
    clipped(u);
    to.imageSmoothingEnabled = false;
    const x = (/** @type {number} */ step) => u.valToPos(step, "x", true);
    const y = (/** @type {number} */ place) => u.valToPos(place, "y", true);
    for (let row = 0; row < rows; row++) {
      const [start, end] = this.cell(row).map(x);
      to.drawImage(
        /** @type {HTMLCanvasElement} */ (this.cells),
        row,
        0,
        1,
        columns,
        start,
        top,
        Math.max(end - start + 0.5, 1),
        height,
      );
    }
    for (const mark of this.marked ?? []) {
      // a lone cell may be too thin to be seen
      const [start, end] = this.cell(mark.row).map(x);
      to.fillStyle = mark.lost ? "rgb(216, 27, 27)" : "black";
      to.fillRect(
        start,
        y(mark.place + 0.5),
        Math.max(end - start, 2 * ratio),
        Math.max(y(mark.place - 0.5) - y(mark.place + 0.5), 1),
      );
    }
    const row = Math.max(lastUpTo(quantity.steps, this.step), 0),
      [start, end] = this.cell(row).map(x);
    for (const [ink, width] of /** @type {[string, number][]} */ ([
      ["black", 4],
      ["white", 2],
    ])) {
      to.strokeStyle = ink;
      to.lineWidth = width * ratio;
      to.strokeRect(start, top, end - start, height);
      to.strokeRect(
        u.bbox.left,
        y(this.place + 0.5),
        u.bbox.width,
        y(this.place - 0.5) - y(this.place + 0.5),
      );
    }
    to.restore();
  }

  /** The cell at the cursor. @param {uPlot} u */
  under(u) {
    const quantity = /** @type {Quantity} */ (this.quantity),
      { left = -1, top = -1 } = u.cursor;
    if (left < 0 || top < 0) return null;
    const step = u.posToVal(left, "x");
    let row = Math.max(lastUpTo(quantity.steps, step), 0);
    if (row < quantity.steps.length - 1 && step > this.cell(row)[1]) row += 1;
    const place = Math.min(Math.max(Math.round(u.posToVal(top, "y")), 0), quantity.columns - 1);
    return { row, place };
  }

  /** @param {uPlot} u */
  read(u) {
    const at = this.under(u),
      quantity = /** @type {Quantity} */ (this.quantity);
    this.readout.textContent = at
      ? `step ${quantity.steps[at.row]} · ${quantity.places[at.place].name} · ${quantity.says(quantity.at(at.row)[at.place])}`
      : "";
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const quantity = this.quantity;
    if (!quantity || !this.drawn) return;
    const row = Math.max(lastUpTo(quantity.steps, this.step), 0);
    const moves = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
      PageUp: [0, 10],
      PageDown: [0, -10],
    });
    if (!(event.key in moves)) return;
    const [along, up] = moves[event.key];
    const held = (/** @type {number} */ at, /** @type {number} */ count) =>
      Math.min(Math.max(at, 0), count - 1);
    const step = quantity.steps[held(row + along, quantity.steps.length)],
      place = held(this.place + up, quantity.columns);
    this.choose(step, place);
    this.readout.textContent = `step ${step} · ${quantity.places[place].name} · ${quantity.says(quantity.at(lastUpTo(quantity.steps, step))[place])}`;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The colours and their values. */
  scale() {
    const bar = element("canvas", { width: 200, height: 12, class: "scale", "aria-hidden": true });
    const to = bar.getContext("2d");
    for (let x = 0; x < 200; x++) {
      to.fillStyle = `rgb(${shade(x / 199).join()})`;
      to.fillRect(x, 0, 1, 12);
    }
    const [least, most] = /** @type {number[]} */ (this.range);
    return [element("li", {}, short(least), bar, short(most))];
  }

  table() {
    const quantity = /** @type {Quantity} */ (this.quantity);
    return [
      ["step", ...quantity.places.map((place) => place.name)],
      ...quantity.steps.map((step, row) => [full(step), ...Array.from(quantity.at(row), full)]),
    ];
  }
}

/** The places whose names stand on the axis: all of a few; of many the ends, and blocks at round numbers. @param {Place[]} places */
function labelled(places) {
  const all = places.map((_, at) => at),
    last = places.length - 1;
  if (places.length <= 12) return all;
  const count = 1 + Math.max(...places.map((place) => place.block ?? 0));
  const apart = /** @type {number} */ (INTEGERS.find((each) => each * 8 >= count));
  const round = (/** @type {number} */ at) =>
    places[at].block !== null && Number(places[at].block) % apart === 0;
  return all.filter(
    (at) =>
      at === 0 ||
      at === last ||
      (round(at) &&
        places[at].block !== places[at - 1].block &&
        at > places.length / 20 &&
        at < places.length * 0.95),
  );
}

/** The least and the largest value that has a colour. @param {ArrayLike<number>} values @param {boolean} log @returns {[number, number]} */
function valueEnds(values, log) {
  let low = Infinity,
    high = -Infinity;
  for (let at = 0; at < values.length; at++) {
    if (!placed(values[at], log)) continue;
    low = Math.min(low, values[at]);
    high = Math.max(high, values[at]);
  }
  return low <= high ? [low, high] : [1, 1];
}
