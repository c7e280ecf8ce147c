// The runs of a comparison, their groups, and the statistics of these.

/**
 * @typedef {{key: string, short: string, levels: {text: string, number: number | null}[]}} Setting
 * @typedef {{name: string, kind: string, label: string, log: boolean, factor: boolean, at_start: boolean, unit: string, apart: string, least?: number | null, most?: number | null}} Metric
 * @typedef {{x: ArrayLike<number>, y: ArrayLike<number>}} Curve
 * @typedef {{label: string, state: string, lost: boolean, last: number | null, unfinished: boolean, kinds: Record<string, number>, measured: boolean, at: number[], verdict: string[],
 *   values: ArrayLike<number>, curves: Record<string, Curve>, flow: {steps: ArrayLike<number>, rows: ArrayLike<number>[]}}} Run
 * @typedef {{name: string, at: number[], runs: Run[]}} Group
 * @typedef {{n: number, mean: number, low: number, high: number, spread: number, geometric: boolean}} Statistics
 */

class Runs {
  /** @param {any} header @param {Run[]} all */
  constructor(header, all) {
    this.all = all;
    /** @type {Setting[]} */
    this.settings = header.settings;
    /** @type {Metric[]} */
    this.metrics = header.metrics;
    /** @type {number[]} */
    this.by = header.by;
  }

  /** The runs of a page; of those whose curves were not sent again, as they were before. @param {Data} data @param {Runs} before */
  static async from(data, before) {
    const { header } = data,
      cut = cutter;
    const values = await data.values(header.values),
      width = header.metrics.length;
    /** @type {Record<string, Curve[]>} */
    const curves = {};
    for (const [name, packed] of Object.entries(header.curves)) {
      const { counts, x, y } = /** @type {{counts: number[], x: Packed, y: Packed}} */ (packed);
      const [xs, ys] = [cut(await data.values(x), counts), cut(await data.values(y), counts)];
      curves[name] = counts.map((_, at) => ({ x: xs[at], y: ys[at] }));
    }
    const { rows, widths } = header.flow;
    const steps = cut(await data.values(header.flow.steps), rows);
    const flows = cut(
      await data.values(header.flow.values),
      rows.map((/** @type {number} */ count, /** @type {number} */ at) => count * widths[at]),
    );
    const known = new Map(before.all.map((run) => [run.label, run]));
    const all = header.runs.map((/** @type {any} */ run, /** @type {number} */ row) => {
      const made = { ...known.get(run.label), ...run };
      made.values = values.subarray(row * width, (row + 1) * width);
      const at = header.sent ? header.sent.indexOf(row) : row;
      if (at < 0) return made;
      made.curves = Object.fromEntries(
        Object.entries(curves).map(([name, lists]) => [name, lists[at]]),
      );
      made.flow = { steps: steps[at], rows: cut(flows[at], Array(rows[at]).fill(widths[at])) };
      return made;
    });
    return new Runs(header, all);
  }

  /** @param {number} setting @param {number[]} at */
  text(setting, at) {
    return this.settings[setting].levels[at[setting]].text;
  }

  /** What a place among settings is called. @param {number[]} settings @param {number[]} at */
  named(settings, at) {
    return (
      settings
        .map((setting) => `${this.settings[setting].short} ${this.text(setting, at)}`)
        .join(", ") || "all runs"
    );
  }

  /** Runs that agree in these settings. @param {Run[]} runs @param {number[]} settings @returns {Group[]} */
  groups(runs, settings) {
    /** @type {Map<string, Group>} */
    const groups = new Map();
    for (const run of runs) {
      const key = settings.map((setting) => run.at[setting]).join();
      const group = groups.get(key) ?? { name: this.named(settings, run.at), at: run.at, runs: [] };
      group.runs.push(run);
      groups.set(key, group);
    }
    return [...groups.values()].sort((a, b) =>
      compareLists(
        settings.map((s) => a.at[s]),
        settings.map((s) => b.at[s]),
      ),
    );
  }

  /**
   * Mean and standard deviation of the runs that count; what is another quantity in some of them has no mean.
   * @param {Run[]} runs @param {number} metric @param {boolean} [logs] @returns {Statistics}
   */
  statistics(runs, metric, logs = false) {
    const about = this.metrics[metric];
    return statistics(
      alike(counting(runs, about.at_start), about.kind).map((run) => run.values[metric]),
      about.factor || (logs && about.log),
    );
  }

  /** Why runs have no mean of a metric. @param {Run[]} runs @param {number} metric */
  missing(runs, metric) {
    const counted = counting(runs, this.metrics[metric].at_start);
    if (!counted.length) return "diverged or stopped";
    return counted.some((run) => run.values[metric] === Infinity) ? "not finite" : "no value";
  }

  /** Whether a metric is another quantity in some of the runs that count. @param {Run[]} runs @param {number} metric */
  apart(runs, metric) {
    const { at_start, kind } = this.metrics[metric],
      counted = counting(runs, at_start);
    return alike(counted, kind).length < counted.length;
  }

  /**
   * The runs that meet all words: `depth>=16`, `residual!=none`, or any text of theirs; and what is
   * wrong with conditions that no run can meet.
   * @param {string} words @returns {{runs: Run[], mistakes: string[]}}
   */
  matching(words) {
    const tests = words
      .replace(SIGNS, "$1")
      .split(/\s+/)
      .filter(Boolean)
      .map((word) => this.condition(word));
    return {
      runs: this.all.filter((run) => tests.every(({ holds }) => holds(run))),
      mistakes: tests.map(({ mistake }) => mistake).filter(Boolean),
    };
  }

  /** @param {string} word @returns {{holds: (run: Run) => boolean, mistake: string}} */
  condition(word) {
    const [, name, sign, text] = CONDITION.exec(word) ?? [];
    const setting = this.setting(name),
      mistake = sign ? this.mistake(name, sign, text, setting) : "";
    if (!sign || (mistake && this.all.some((run) => run.label.includes(word)))) {
      const wanted = word.toLowerCase();
      return { holds: (run) => this.texts(run).some((each) => each.includes(wanted)), mistake: "" };
    }
    const holds = (/** @type {Run} */ run) =>
      !mistake && meets(this.settings[setting].levels[run.at[setting]], sign, text);
    return { holds, mistake: mistake && `${word}: ${mistake}` };
  }

  /** All that is written of a run, in small letters. @param {Run} run */
  texts(run) {
    const values = this.settings.map((_, at) => this.text(at, run.at));
    return [run.label, run.state, ...run.verdict, ...values].map((text) => text.toLowerCase());
  }

  /** The place of a setting by its name, or the end of that; -1 if there is none. @param {string} name */
  setting(name) {
    const exact = this.settings.findIndex((each) => [each.key, each.short].includes(name));
    return exact < 0 ? this.settings.findIndex(({ key }) => key.endsWith(`.${name}`)) : exact;
  }

  /** Why no run can meet a condition; "" if one can. @param {string} name @param {string} sign @param {string} text @param {number} setting */
  mistake(name, sign, text, setting) {
    if (!name || !text) return "a condition is SETTING SIGN VALUE, as depth>=16";
    if (setting < 0) {
      const known = this.settings.map((each) => each.short).join(", ");
      return `${name} is not among the settings that differ: ${known}`;
    }
    const { levels } = this.settings[setting];
    if (sign.startsWith("=") && !levels.some((level) => meets(level, sign, text))) {
      const listed = levels.slice(0, MOST_LISTED).map((level) => level.text);
      return `no run has it; ${name} is ${listed.join(", ")}${levels.length > listed.length ? ", …" : ""}`;
    }
    if (!/[<>]/.test(sign)) return "";
    if (levels.every((level) => level.number === null)) return `${sign} compares numbers`;
    return Number.isNaN(Number(text)) ? `${sign} needs a number` : "";
  }
}

const MOST_LISTED = 8,
  SIGNS = /\s*(>=|<=|!=|==|=|>|<)\s*/g,
  CONDITION = /^([^=!<>]*)(>=|<=|!=|==|=|>|<)(.*)$/;

/** Whether a value meets a condition; only numbers have an order. @param {{text: string, number: number | null}} level @param {string} sign @param {string} text */
function meets({ text: word, number }, sign, text) {
  const numbers = number !== null && !Number.isNaN(Number(text)),
    [left, right] = numbers ? [number, Number(text)] : [word, text];
  if (sign === "!=") return left !== right;
  if (!/[<>]/.test(sign)) return left === right;
  if (!numbers) return false;
  if (sign.startsWith(">")) return left > right || (sign === ">=" && left === right);
  return left < right || (sign === "<=" && left === right);
}

/** A list in parts of these lengths. @param {Values} values @param {number[]} counts @returns {Values[]} */
function cutter(values, counts) {
  let start = 0;
  return counts.map((count) => values.subarray(start, (start += count)));
}

/** @param {number[]} a @param {number[]} b */
function compareLists(a, b) {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : a[at] - b[at];
}

/**
 * The runs that means are taken of: at the start all that have results; later no lost ones, and
 * no unfinished ones where others have ended.
 * @param {Run[]} runs @param {boolean} atStart
 */
function counting(runs, atStart) {
  const measured = runs.filter((run) => run.measured),
    sound = measured.filter((run) => !run.lost),
    ended = sound.filter((run) => !run.unfinished);
  return atStart ? measured : ended.length ? ended : sound;
}

/**
 * The runs, or none if the loss or the score is another quantity in some of them.
 * @param {Run[]} runs @param {string} kind "loss", "score" or another metric's, which is the same in all
 */
function alike(runs, kind) {
  const kinds = runs.map((run) => run.kinds[kind] ?? -1).filter((known) => known >= 0);
  return new Set(kinds).size < 2 ? runs : [];
}

/** Of the values that are finite; geometric ones need positive values. @param {number[]} values @param {boolean} geometric @returns {Statistics} */
function statistics(values, geometric) {
  const known = values.filter(Number.isFinite),
    n = known.length;
  const nothing = { n, mean: NaN, low: NaN, high: NaN, spread: NaN, geometric };
  if (!n) return nothing;
  if (geometric && Math.min(...known) <= 0)
    return { ...nothing, mean: Math.min(...known) === 0 ? 0 : NaN };
  const taken = geometric ? known.map(Math.log) : known;
  const [least, most] = [Math.min(...taken), Math.max(...taken)],
    scale = Math.max(-least, most) || 1;
  const sum = taken.reduce((sum, value) => sum + value / scale, 0),
    mean = Math.min(Math.max(scale * (sum / n), least), most);
  const spread =
    n > 1
      ? scale *
        Math.sqrt(taken.reduce((sum, value) => sum + ((value - mean) / scale) ** 2, 0) / (n - 1))
      : NaN;
  const back = geometric ? Math.exp : (/** @type {number} */ value) => value;
  return {
    n,
    mean: back(mean),
    low: back(mean - spread),
    high: back(mean + spread),
    spread: back(spread),
    geometric,
  };
}

/** A mean with its spread in words. @param {Statistics} statistics */
function spreadWords({ n, mean, spread, geometric }) {
  if (!n) return "–";
  if (!(spread > 0)) return short(mean);
  return `${short(mean)} ${geometric ? "×/÷" : "±"} ${short(spread)}`;
}

/** A curve's value between its points, by its logarithm where that is asked for. @param {Curve} curve @param {number} at @param {boolean} log */
function between({ x, y }, at, log) {
  const before = Math.min(Math.max(lastUpTo(x, at), 0), x.length - 1),
    after = Math.min(before + 1, x.length - 1);
  const share = x[after] > x[before] ? (at - x[before]) / (x[after] - x[before]) : 0;
  if (share <= 0) return y[before];
  return log && y[before] > 0 && y[after] > 0
    ? y[before] * (y[after] / y[before]) ** share
    : y[before] + share * (y[after] - y[before]);
}

/** The places that all of these curves have. @param {Curve[]} curves */
function common(curves) {
  const has = (/** @type {Curve} */ { x }, /** @type {number} */ at) => x[lastUpTo(x, at)] === at;
  return Array.from(curves[0].x).filter((at) => curves.every((curve) => has(curve, at)));
}

/** The places of the longest of these curves. @param {Curve[]} curves */
function longest(curves) {
  const lengths = curves.map((curve) => curve.x.length);
  return Array.from(curves[lengths.indexOf(Math.max(...lengths))].x);
}

/** Mean and spread of several curves at these places. @param {Curve[]} curves @param {number[]} x @param {boolean} log */
function averaged(curves, x, log) {
  const points = x.map((at) =>
    statistics(
      curves.map((curve) => between(curve, at, log)),
      log,
    ),
  );
  return {
    x,
    mean: points.map((each) => each.mean),
    low: points.map((each) => each.low),
    high: points.map((each) => each.high),
  };
}
