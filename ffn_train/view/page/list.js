// The list of what is served: the newest first, with states and search.

/** @typedef {{name: string, kind: string, state: string, changed: number}} Entry */

class List {
  /** @param {any} header */
  constructor(header) {
    /** @type {Entry[]} */
    this.entries = header.entries;
    this.search = element("input", {
      type: "search",
      id: "search",
      size: 40,
      input: () => this.draw(),
    });
    this.body = element("tbody", {});
    this.count = element("p", { class: "note", "aria-live": "polite" });
    const heading = ["name", "state", "changed"].map((word) =>
      element("th", { scope: "col" }, word),
    );
    document.body.append(
      element("h1", {}, "Runs"),
      element("label", { class: "choice" }, "search ", this.search),
      this.count,
      element(
        "table",
        { class: "runs" },
        element("thead", {}, element("tr", {}, ...heading)),
        this.body,
      ),
    );
    this.draw();
    ready();
    setInterval(() => this.ask(header.live.address), header.every);
  }

  draw() {
    const words = this.search.value.toLowerCase().split(/\s+/);
    const shown = this.entries.filter((entry) =>
      words.every((/** @type {string} */ word) =>
        `${entry.name} ${entry.state}`.toLowerCase().includes(word),
      ),
    );
    this.count.textContent = `${shown.length} of ${this.entries.length}`;
    this.body.replaceChildren(
      ...shown.map((entry) => {
        const when = entry.changed ? new Date(entry.changed * 1000).toLocaleString() : "–";
        const link = element(
          "a",
          { href: `${entry.kind}?name=${encodeURIComponent(entry.name)}` },
          entry.name,
        );
        return element(
          "tr",
          {},
          element("td", {}, link),
          element("td", {}, entry.kind === "run" ? entry.state : `comparison of ${entry.state}`),
          element("td", {}, when),
        );
      }),
    );
  }

  /** @param {string} address */
  async ask(address) {
    try {
      const answer = await fetch(address);
      if (!answer.ok) return;
      this.entries = await answer.json();
      this.draw();
    } catch {
      this.count.textContent = "no answer: is it still served?";
    }
  }
}

const list = new List(Data.ofPage().header);
