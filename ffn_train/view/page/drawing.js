// What is drawn over and under the lines: bands, guides, markers, what has no place on the axis.

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
    for (const [dx, dy] of [
      [1.3, 0],
      [0, 1.3],
      [-1.3, 0],
    ])
      to.lineTo(x + dx * size, y + dy * size);
    to.closePath();
  }
  to.fill();
}

/** Bands between places that follow each other; a place that stands alone has an error bar. @param {uPlot} u @param {Content} content */
function drawBands(u, content) {
  const to = u.ctx;
  to.save();
  clipped(u);
  for (const band of content.bands ?? []) {
    const across = (/** @type {number} */ at) => u.valToPos(band.x[at], "x", true);
    const up = (/** @type {number} */ y) =>
      u.valToPos(content.log ? Math.max(y, Number.MIN_VALUE) : y, "y", true);
    const [ink, alone] = [colour(band.colour), /** @type {number[]} */ ([])];
    to.globalAlpha = 0.22;
    to.fillStyle = band.hatched ? hatching(to, ink) : ink;
    for (const part of stretches(band)) {
      if (part.length === 1) {
        alone.push(part[0]);
        continue;
      }
      to.beginPath();
      for (const at of part) to.lineTo(across(at), up(band.high[at]));
      for (const at of part.reverse()) to.lineTo(across(at), up(band.low[at]));
      to.closePath();
      to.fill();
    }
    to.globalAlpha = 0.8;
    for (const at of alone) errorBar(to, ink, across(at), up(band.low[at]), up(band.high[at]));
  }
  to.restore();
}

/** The places of a band that follow each other without a gap. @param {Band} band */
function stretches({ x, low, high }) {
  /** @type {number[][]} */
  const parts = [];
  for (let at = 0, open = false; at < x.length; at++) {
    const known = Number.isFinite(low[at]) && Number.isFinite(high[at]);
    if (known && open) parts[parts.length - 1].push(at);
    else if (known) parts.push([at]);
    open = known;
  }
  return parts;
}

/** @param {CanvasRenderingContext2D} to @param {string} ink @param {number} x @param {number} low @param {number} high */
function errorBar(to, ink, x, low, high) {
  const cap = 4 * devicePixelRatio;
  stroke(to, ink, [], x, low, null, high);
  for (const end of [low, high]) stroke(to, ink, [], x - cap, end, x + cap, null);
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
  u.ctx.rect(
    u.bbox.left - beyond,
    u.bbox.top - beyond,
    u.bbox.width + 2 * beyond,
    u.bbox.height + 2 * beyond,
  );
  u.ctx.clip();
}

/**
 * Guides, the chosen step, markers, and what has no place on the axis.
 * @param {uPlot} u @param {Content} content @param {Set<string>} hidden
 */
function drawOver(u, content, hidden) {
  const to = u.ctx,
    ratio = devicePixelRatio,
    { left, top, width, height } = u.bbox;
  to.save();
  clipped(u, 4 * ratio);
  for (const guide of content.guides ?? []) {
    stroke(
      to,
      colour("--muted"),
      [6 * ratio, 4 * ratio],
      left,
      u.valToPos(guide.y, "y", true),
      left + width,
      null,
    );
  }
  if (content.at !== null && content.at !== undefined) {
    stroke(
      to,
      colour("--ink"),
      [2 * ratio, 2 * ratio],
      u.valToPos(content.at, "x", true),
      top,
      null,
      top + height,
    );
  }
  for (const line of content.lines) {
    if (hidden.has(line.label) || line.thin) continue;
    to.fillStyle = colour(line.colour);
    let before = -Infinity;
    for (let at = 0; at < line.x.length; at++) {
      if (!placed(line.y[at], content.log)) continue;
      const x = u.valToPos(line.x[at], "x", true),
        y = u.valToPos(line.y[at], "y", true);
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

/** Crosses at the upper edge, triangles at the lower one. @param {uPlot} u @param {Line} line @param {boolean} log @param {number} index */
function edgeMarks(u, line, log, index) {
  const to = u.ctx,
    ratio = devicePixelRatio,
    size = 3.2 * ratio;
  const before = { lost: -Infinity, zero: -Infinity };
  for (let at = 0; at < line.x.length; at++) {
    const kind = !Number.isFinite(line.y[at]) ? "lost" : log && line.y[at] === 0 ? "zero" : null;
    const x = u.valToPos(line.x[at], "x", true);
    if (
      kind === null ||
      x - before[kind] < 2 * size ||
      x < u.bbox.left ||
      x > u.bbox.left + u.bbox.width
    )
      continue;
    before[kind] = x;
    const y =
      kind === "lost"
        ? u.bbox.top + size + Math.min(index, 3) * size
        : u.bbox.top + u.bbox.height - size;
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
  return [lost ? `× ${content.cross ?? "not finite"}` : "", zero ? "▾ zero" : ""];
}
