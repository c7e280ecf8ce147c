// What a run measured, and what follows from it: the norms of whole layers, the update:weight ratio.

/** @typedef {{name: string, brief: string, block: number | null}} Place */

/** What is measured by default, in words and in the field's symbols. @type {Record<string, string>} */
const TITLES = {
  layer_gradient_norm: "parameter gradient of each layer, |∂L/∂θ|",
  update_ratio: "update:weight ratio of each layer, |Δθ|/|θ|",
  signal_gradient_rms: "signal gradient, RMS ∂L/∂x",
  skip_gradient_rms: "skip part of the signal gradient",
  branch_gradient_rms: "branch part of the signal gradient",
  signal_rms: "signal, RMS x",
  dead_share: "share of dead units",
  gradient_norm: "parameter gradient of each tensor",
  weight_norm: "weight norm of each tensor, |θ|",
  update_norm: "update norm of each tensor, |Δθ|",
};

/** A quantity at K steps, of each of its places; ``values`` row by row, NaN where not finite. */
class Quantity {
  /**
   * @param {{name: string, says: string, equation: string, unit: string, log: boolean, absent: string}} about
   * @param {number[]} steps @param {Place[]} places @param {string} axis
   * @param {() => Promise<ArrayLike<number>>} load
   */
  constructor(about, steps, places, axis, load) {
    this.name = about.name;
    this.title = TITLES[about.name] ?? about.name.replaceAll("_", " ");
    this.explanation = [about.says, about.equation].filter(Boolean).join(" ");
    this.unit = about.unit;
    this.log = about.log;
    this.absent = about.absent;
    this.lost = "not finite"; // what a value that is not finite stands for
    this.steps = steps;
    this.places = places;
    this.axis = axis;
    this.load = load;
    /** @type {ArrayLike<number>} */
    this.values = [];
    /** @type {Promise<void> | null} */
    this.loading = null;
  }

  get columns() {
    return this.places.length;
  }

  /** Whether it is one number of the whole run. */
  get single() {
    return this.axis === "";
  }

  /** Unpack the values, once. */
  ready() {
    this.loading ??= this.load().then((values) => {
      this.values = values;
    });
    return this.loading;
  }

  /** The row of a step's number among the measured ones. @param {number} row */
  at(row) {
    return Array.prototype.slice.call(this.values, row * this.columns, (row + 1) * this.columns);
  }

  /** A value in words. @param {number} value */
  says(value) {
    return Number.isFinite(value) ? short(value) : this.lost;
  }

  /** A place's values over the steps. @param {number} place */
  of(place) {
    return this.steps.map((_, row) => this.values[row * this.columns + place]);
  }

  /** The place of this name, or else of this block, or else the first. @param {{name: string, block: number | null}} wanted */
  find(wanted) {
    const named = this.places.findIndex((place) => place.name === wanted.name);
    const same = this.places.findIndex(
      (place) => place.block !== null && place.block === wanted.block,
    );
    return Math.max(named, 0) || Math.max(same, 0);
  }

  /** Further rows, of a run that goes on; those that are there already are passed over. @param {number[]} steps @param {ArrayLike<number>} values */
  extend(steps, values) {
    const known = lastUpTo(steps, this.steps[this.steps.length - 1] ?? -1) + 1;
    this.steps.push(...steps.slice(known));
    this.values = Float64Array.from([
      ...Array.from(this.values),
      ...Array.from(values).slice(known * this.columns),
    ]);
  }
}

/** The quantities of a run by name, the derived ones first. @param {Data} data */
function quantitiesOf(data) {
  const { depth, layers, tensors } = data.header;
  /** @type {(name: string, block: number | null) => Place} */
  const place = (name, block) => ({ name, block, brief: block === null ? name : String(block) });
  const numbers = Array.from({ length: depth + 1 }, (_, at) => at);
  const ofLayers = layers.names.map((/** @type {string} */ name, /** @type {number} */ at) =>
    place(name, layers.blocks[at]),
  );
  /** @type {Record<string, [Place[], string]>} */
  const places = {
    tensor: [
      tensors.names.map((/** @type {string} */ name, /** @type {number} */ at) => {
        const block = layers.blocks[tensors.layers[at]];
        return {
          name,
          block,
          brief: block === null ? name : `${block} ${tensors.roles[at]}`,
        };
      }),
      "tensor",
    ],
    boundary: [
      numbers.map((at) => ({ name: `x_${at}`, block: at, brief: String(at) })),
      "block boundary l",
    ],
    block: [numbers.slice(0, depth).map((at) => place(`block ${at}`, at)), "block l"],
    run: [[place("run", null)], ""],
  };
  /** @type {Map<string, Quantity>} */
  const all = new Map();
  for (const each of data.header.quantities) {
    all.set(
      each.name,
      new Quantity(each, each.steps, ...places[each.per], async () =>
        each.values ? data.values(each.values) : [],
      ),
    );
  }
  const norms = all.get("gradient_norm"),
    update = all.get("update_norm"),
    weight = all.get("weight_norm");
  /** @type {Map<string, Quantity>} */
  const derived = new Map();
  if (norms) {
    derived.set(
      "layer_gradient_norm",
      layerQuantity(norms, ofLayers, tensors.layers, {
        name: "layer_gradient_norm",
        says: "Norm of the gradient of all parameters of a layer.",
        equation: "|∂L/∂θ|",
      }),
    );
  }
  if (update && weight && !update.absent) {
    derived.set("update_ratio", ratioQuantity(update, weight, ofLayers, tensors.layers));
  }
  return new Map([...derived, ...all]);
}

/**
 * The norms of whole layers from those of their tensors.
 * @param {Quantity} norms @param {Place[]} layers @param {number[]} layerOf
 * @param {{name: string, says: string, equation: string}} about
 */
function layerQuantity(norms, layers, layerOf, about) {
  return new Quantity(
    { ...about, unit: "", log: true, absent: norms.absent },
    norms.steps,
    layers,
    "layer",
    async () => {
      await norms.ready();
      return byLayer(norms, layerOf, layers.length);
    },
  );
}

/** @param {Quantity} norms @param {number[]} layerOf @param {number} layers */
function byLayer(norms, layerOf, layers) {
  const values = new Float64Array(norms.steps.length * layers);
  const tensors = layerOf.length;
  for (let row = 0; row < norms.steps.length; row++) {
    // scaled, so that the squares of the smallest and largest norms stay in range
    let scale = 0;
    for (let at = 0; at < tensors; at++) {
      const value = norms.values[row * tensors + at];
      if (Number.isFinite(value) && value > scale) scale = value;
    }
    scale ||= 1;
    for (let at = 0; at < tensors; at++) {
      values[row * layers + layerOf[at]] += (norms.values[row * tensors + at] / scale) ** 2;
    }
    for (let at = 0; at < layers; at++) {
      values[row * layers + at] = Math.sqrt(values[row * layers + at]) * scale;
    }
  }
  return values;
}

/** @param {Quantity} update @param {Quantity} weight @param {Place[]} layers @param {number[]} layerOf */
function ratioQuantity(update, weight, layers, layerOf) {
  const common = () =>
    update.steps.filter((step) => weight.steps[lastUpTo(weight.steps, step)] === step);
  /** @type {Quantity} */
  const ratio = new Quantity(
    {
      name: "update_ratio",
      says: "Size of a step's update relative to the weights; about 1e-3 is usual.",
      equation: "|Δθ|/|θ|",
      unit: "",
      log: true,
      absent: "",
    },
    common(),
    layers,
    "layer",
    async () => {
      await Promise.all([update.ready(), weight.ready()]);
      ratio.steps = common();
      const [above, below] = [update, weight].map((norms) =>
        byLayer(norms, layerOf, layers.length),
      );
      if (below.includes(0)) {
        const other = above.some(Number.isNaN) || below.some(Number.isNaN);
        ratio.lost = `does not apply: all weights are 0${other ? ", or not finite" : ""}`;
      }
      return Float64Array.from(
        ratio.steps.flatMap((step) => {
          const [up, down] = [update, weight].map(
            (norms) => lastUpTo(norms.steps, step) * layers.length,
          );
          return layers.map((_, at) =>
            below[down + at] > 0 ? above[up + at] / below[down + at] : NaN,
          );
        }),
      );
    },
  );
  return ratio;
}
