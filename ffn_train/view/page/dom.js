// Elements, words and numbers. Names and values become text nodes, never markup.

/** @typedef {Node | string | null} Child */

/**
 * An element; attributes whose value is a function are listeners, those that are null are left out.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | ((event: any) => void)>} [attributes]
 * @param {...Child} children
 * @returns {any}
 */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/**
 * A word that is explained where the pointer or the keyboard's focus is on it.
 * @param {string} word
 * @param {string} explanation
 */
function term(word, explanation) {
  if (!explanation) return element("span", {}, word);
  return element(
    "span",
    {
      class: "term",
      tabindex: 0,
      "data-explanation": explanation,
      "aria-label": `${word}: ${explanation}`,
    },
    word,
  );
}

/** @param {string} word @param {(event: any) => void} click @param {string} [label] */
function button(word, click, label = word) {
  return element("button", { type: "button", click, title: label, "aria-label": label }, word);
}

/**
 * A labelled choice among words.
 * @param {string} label
 * @param {string} id
 * @param {{value: string, text: string}[]} options
 * @param {(value: string) => void} choose
 */
function choice(label, id, options, choose) {
  const select = element("select", { id, change: (event) => choose(event.target.value) });
  select.append(...options.map((each) => element("option", { value: each.value }, each.text)));
  return element("label", { for: id, class: "choice" }, label, select);
}

/** A number in three digits. @param {number} value */
function short(value) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(3)));
  return value
    .toExponential(2)
    .replace(/\.?0+e/, "e")
    .replace("e+", "e");
}

/** A number and what it counts. @param {number} number @param {string} word */
function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** A number as CSV has it. @param {number | null | undefined} value */
function full(value) {
  if (value === null || value === undefined) return "";
  return Number.isNaN(value) ? "nan" : String(value).replace("Infinity", "inf");
}

/** A cell of CSV. @param {string} text */
function quoted(text) {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {string} name @param {Blob} content */
function download(name, content) {
  const address = URL.createObjectURL(content);
  const link = element("a", { href: address, download: name.replace(/[^\w.-]+/g, "_") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** The value of a colour of the style sheet. @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Whether a key pressed there has a meaning of its own. @param {EventTarget | null} target */
function takesKeys(target) {
  return (
    target instanceof HTMLElement && target.matches("input, select, textarea, button, [data-keys]")
  );
}

/** Say that all is drawn. */
function ready() {
  document.getElementById("wait")?.remove();
  document.body.dataset.ready = "yes";
}

/** Call back when the colours change. @param {() => void} redraw */
function onTheme(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
