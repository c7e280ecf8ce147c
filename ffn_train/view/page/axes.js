// The ends of axes, and their ticks.

const INTEGERS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7, 1e8,
];

/** @param {number | undefined} y @param {boolean} log */
function placed(y, log) {
  return y !== undefined && Number.isFinite(y) && (y > 0 || !log);
}

/** The least and the largest finite value. @param {ArrayLike<number>} values @returns {[number | null, number | null]} */
function ends(values) {
  let least = null,
    most = null;
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
  let low = Infinity,
    high = -Infinity;
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
  // a smaller difference is that of rounding
  const size = Math.max(-low, high),
    room = high - low > 1e-12 * size ? (high - low) * 0.06 : size * 0.1 || 1;
  return [low - room, high + room];
}

/** Ticks of a linear axis: round numbers at even distances. @param {number} low @param {number} high */
function evenTicks(low, high) {
  const power = Math.floor(Math.log10(high - low));
  const apart = [`0.2e${power}`, `0.5e${power}`, `1e${power}`, `2e${power}`, `5e${power}`]
    .map(Number)
    .find((each) => (high - low) / each <= 6);
  const first = Math.ceil(low / Number(apart));
  const ticks = [0, 1, 2, 3, 4, 5, 6].map((at) => (first + at) * Number(apart));
  return ticks.filter((tick) => tick <= high);
}

const LETTER = 6.2, // pixels, of the axes' font
  MOST_LETTERS = 18;

/**
 * An x axis of names, all of which stand at their ticks: slanted where they have no room side by side.
 * @param {() => {names?: string[], ticks?: number[]}} content
 */
function namedAxis(content) {
  const longest = (/** @type {string[]} */ names) =>
    LETTER * Math.max(0, ...names.map((name) => name.length));
  const crowded = (/** @type {uPlot} */ u, /** @type {string[]} */ names) =>
    names.length * (longest(names) + 2 * LETTER) > u.width - 80;
  return {
    splits: (/** @type {any} */ u) => {
      const { ticks = [] } = content();
      const inside = ticks.filter((at) => at >= u.scales.x.min && at <= u.scales.x.max);
      const apart = Math.ceil((inside.length * 2 * LETTER) / (u.width - 80));
      return inside.filter((_, order) => order % apart === 0);
    },
    values: (/** @type {any} */ _, /** @type {number[]} */ splits) =>
      splits.map((at) => {
        const name = content().names?.[at] ?? "";
        return name.length > MOST_LETTERS ? `${name.slice(0, MOST_LETTERS - 1)}…` : name;
      }),
    rotate: (/** @type {uPlot} */ u, /** @type {string[]} */ names) => (crowded(u, names) ? 40 : 0),
    size: (/** @type {uPlot} */ u, /** @type {string[] | null} */ names) =>
      names && crowded(u, names) ? 20 + 0.64 * longest(names) : 26,
  };
}

/** Ticks of a logarithmic axis. @param {number} low @param {number} high */
function decades(low, high) {
  const first = Math.floor(Math.log10(low)),
    last = Math.ceil(Math.log10(high));
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
