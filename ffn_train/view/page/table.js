// The table of groups or of runs: sorted by a click on a heading, in place.

const MOST_ROWS = 300;

/**
 * @typedef {{label: string, explanation?: string, value: (row: any) => number | string, shown?: (row: any) => Node | string}} Column
 */

class Table {
  /** @param {(row: any) => void} open */
  constructor(open) {
    this.open = open;
    this.sorted = { column: -1, down: false };
    this.head = element("thead", {});
    this.body = element("tbody", {});
    this.more = element("p", { class: "note" });
    this.root = element(
      "div",
      { class: "scroll" },
      element("table", { class: "runs" }, this.head, this.body),
      this.more,
    );
    this.all = false;
    /** @type {Column[]} */
    this.columns = [];
    /** @type {any[]} */
    this.rows = [];
    /** @type {(row: any) => boolean} */
    this.chosen = () => false;
  }

  /** @param {Column[]} columns @param {any[]} rows @param {(row: any) => boolean} chosen */
  show(columns, rows, chosen) {
    const { column } = this.sorted,
      label = this.columns[column]?.label;
    if (columns[column]?.label !== label)
      this.sorted.column = columns.findIndex((each) => each.label === label);
    [this.columns, this.rows, this.chosen] = [columns, rows, chosen];
    this.draw();
  }

  /** @param {number} column */
  sort(column) {
    this.sorted = { column, down: this.sorted.column === column && !this.sorted.down };
    this.draw();
  }

  draw() {
    const columns = this.columns,
      { column, down } = this.sorted;
    const rows = [...this.rows];
    if (columns[column]) {
      const value = columns[column].value;
      rows.sort((a, b) => order(value(a), value(b), down));
    }
    this.head.replaceChildren(
      element(
        "tr",
        {},
        ...columns.map((each, at) =>
          element(
            "th",
            {
              scope: "col",
              "aria-sort": at === column ? (down ? "descending" : "ascending") : "none",
            },
            element(
              "button",
              {
                type: "button",
                click: () => this.sort(at),
                title: each.explanation ?? `sort by ${each.label}`,
              },
              each.label,
              at === column ? (down ? " ▾" : " ▴") : "",
            ),
          ),
        ),
      ),
    );
    const shown = this.all ? rows : rows.slice(0, MOST_ROWS);
    this.body.replaceChildren(
      ...shown.map((row) => {
        const cells = columns.map((each, at) => {
          const content = each.shown ? each.shown(row) : each.value(row);
          const inside = typeof content === "number" ? short(content) : content;
          return element(
            "td",
            {},
            at === 0
              ? element(
                  "button",
                  {
                    type: "button",
                    click: () => this.open(row),
                    "aria-pressed": String(this.chosen(row)),
                  },
                  inside,
                )
              : inside,
          );
        });
        return element("tr", { class: this.chosen(row) ? "chosen" : "" }, ...cells);
      }),
    );
    this.more.replaceChildren(
      ...(rows.length > shown.length
        ? [
            `${shown.length} of ${rows.length} rows `,
            button("show all", () => {
              this.all = true;
              this.draw();
            }),
          ]
        : []),
    );
  }
}

/** Numbers before words; what is not finite or not known last, also downwards. @param {number | string} a @param {number | string} b @param {boolean} down */
function order(a, b, down) {
  const sign = down ? -1 : 1;
  if (typeof a === "number" && typeof b === "number") {
    const rank = (/** @type {number} */ x) => (Number.isNaN(x) ? 2 : Number(!Number.isFinite(x)));
    return rank(a) - rank(b) || sign * (a - b);
  }
  return sign * (String(a) < String(b) ? -1 : Number(String(a) > String(b)));
}
