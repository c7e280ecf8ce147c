// The page's data: a header in JSON, and packed arrays that are unpacked when they are asked for.

/** @typedef {{block: number, shape: number[], bytes: number}} Packed */
/** @typedef {Float32Array | Float64Array} Values */

class Data {
  /**
   * @param {any} header
   * @param {(number: number) => string} text the packed array of a number, in base64
   */
  constructor(header, text) {
    this.header = header;
    this.text = text;
    /** @type {Map<number, Promise<Uint8Array>>} */
    this.unpacked = new Map();
  }

  /** The data that this page holds: a header, and the packed arrays; throws for damaged ones. */
  static ofPage() {
    const elements = document.querySelectorAll('script[type^="application/"]');
    const [header, ...blocks] = Array.from(elements, (each) => each.textContent ?? "");
    if (document.body.dataset.adler32 !== String(adler32([header, ...blocks].join("")))) {
      throw new Error("the data of this page are damaged");
    }
    return new Data(JSON.parse(header), (number) => blocks[number]);
  }

  /**
   * The numbers of a packed array, row by row.
   * @param {Packed} packed
   * @returns {Promise<Values>}
   */
  async values(packed) {
    if (!this.unpacked.has(packed.block)) {
      this.unpacked.set(packed.block, inflate(this.text(packed.block)));
    }
    const planes = /** @type {Uint8Array} */ (await this.unpacked.get(packed.block));
    const size = packed.bytes,
      count = planes.length / size;
    const bytes = new Uint8Array(planes.length);
    for (let plane = 0; plane < size; plane++) {
      for (let at = 0; at < count; at++) bytes[at * size + plane] = planes[plane * count + at];
    }
    return size === 4 ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
  }
}

/**
 * @param {string} text deflated bytes in base64
 * @returns {Promise<Uint8Array>}
 */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The checksum of a text in UTF-8. @param {string} text */
function adler32(text) {
  let sum = 1,
    sums = 0;
  for (const byte of new TextEncoder().encode(text)) {
    sum = (sum + byte) % 65521;
    sums = (sums + sum) % 65521;
  }
  return sums * 65536 + sum;
}

/**
 * The last of ascending steps that is not after this one, or -1.
 * @param {ArrayLike<number>} steps
 * @param {number} step
 */
function lastUpTo(steps, step) {
  let low = 0,
    high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * The union of ascending lists of steps.
 * @param {ArrayLike<number>[]} lists
 */
function union(lists) {
  const all = new Set(lists.flatMap((steps) => Array.from(steps)));
  return [...all].sort((a, b) => a - b);
}
