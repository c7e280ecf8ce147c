// The trainability map: a metric over two settings; a cell opens its runs.

/**
 * @param {Runs} runs @param {Run[]} shown @param {number} x @param {number} y @param {number} metric
 * @param {(name: string, runs: Run[]) => void} open
 * @returns {HTMLElement}
 */
function trainabilityMap(runs, shown, x, y, metric, open) {
  const about = runs.metrics[metric],
    across = runs.settings[x],
    up = runs.settings[y];
  const used = (/** @type {number} */ setting) =>
    [...new Set(shown.map((run) => run.at[setting]))].sort((a, b) => a - b);
  const columns = used(x),
    rows = used(y);
  if (up.levels.every((level) => level.number !== null)) rows.reverse(); // large numbers above
  const cells = rows.map((row) =>
    columns.map((column) => {
      const inside = shown.filter((run) => run.at[x] === column && run.at[y] === row);
      return {
        inside,
        value: runs.statistics(inside, metric).mean,
        lost: inside.filter((run) => run.lost).length,
        sound: inside.some((run) => run.measured && !run.lost),
        at: inside[0]?.at,
      };
    }),
  );
  const values = cells
    .flat()
    .map((cell) => cell.value)
    .filter(Number.isFinite);
  const least = Math.min(...values.filter((value) => value > 0)),
    log = about.log && Math.min(...values) >= 0 && Math.max(...values) > 10 * least;
  const to = (/** @type {number} */ value) => (log ? Math.log10(value) : value);
  const low = to(log ? least : Math.min(...values)),
    span = to(Math.max(...values)) - low || 1;
  const body = cells.map((row, at) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, up.levels[rows[at]].text),
      ...row.map((cell) => {
        if (!cell.inside.length) return element("td", { class: "absent", title: "no run" }, "");
        const finite = Number.isFinite(cell.value),
          words = finite ? short(cell.value) : cell.lost && !cell.sound ? "×" : "–";
        const name = `${across.short} ${across.levels[cell.at[x]].text}, ${up.short} ${up.levels[cell.at[y]].text}`;
        const lost = cell.lost ? `, ${cell.lost} of ${cell.inside.length} diverged or stopped` : "";
        const made = button(
          words,
          () => open(name, cell.inside),
          `${name}: ${about.label} ${words}${lost}; open its curves`,
        );
        if (finite) {
          const [red, green, blue] = mapShade((to(cell.value) - low) / span);
          made.style.background = `rgb(${red}, ${green}, ${blue})`;
          made.style.color = 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
        }
        if (cell.lost && words !== "×") made.append(element("sup", {}, `×${cell.lost}`));
        return element("td", {}, made);
      }),
    ),
  );
  const heading = element(
    "tr",
    {},
    element("th", {}, `${up.short} \\ ${across.short}`),
    ...columns.map((column) => element("th", { scope: "col" }, across.levels[column].text)),
  );
  return element(
    "table",
    { class: "map", "aria-label": `${about.label} over ${across.short} and ${up.short}` },
    element("thead", {}, heading),
    element("tbody", {}, ...body),
  );
}

const MAP_SCALE = [
  [68, 1, 84],
  [65, 68, 135],
  [42, 120, 142],
  [34, 168, 132],
  [122, 209, 81],
  [253, 231, 37],
]; // viridis

/** @param {number} share */
function mapShade(share) {
  const at = Math.min(Math.max(share, 0), 1) * (MAP_SCALE.length - 1),
    below = Math.min(Math.floor(at), MAP_SCALE.length - 2);
  return MAP_SCALE[below].map((part, index) =>
    Math.round(part + (at - below) * (MAP_SCALE[below + 1][index] - part)),
  );
}
