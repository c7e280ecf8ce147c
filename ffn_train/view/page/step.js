// The control of the step: a slider, single steps, and playing.

class StepControl {
  /**
   * @param {number[]} steps
   * @param {(step: number) => void} changed
   */
  constructor(steps, changed) {
    this.steps = steps;
    this.changed = changed;
    this.index = Math.max(steps.length - 1, 0);
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    this.slider = element("input", {
      type: "range",
      id: "step",
      min: 0,
      step: 1,
      "aria-label": "step",
      input: () => this.go(Number(this.slider.value)),
    });
    this.says = element("output", { for: "step" });
    this.player = button("▶", () => this.play(), "play (space)");
    this.root = element(
      "div",
      { class: "steps", role: "group", "aria-label": "step" },
      this.player,
      button("‹", () => this.go(this.index - 1), "step before (left arrow)"),
      this.slider,
      button("›", () => this.go(this.index + 1), "next step (right arrow)"),
      this.says,
    );
    document.addEventListener("keydown", (event) => this.key(event));
    this.show();
  }

  get step() {
    return this.steps[this.index] ?? 0;
  }

  /** Other steps, as of a run that goes on: at the last one it stays at the last. @param {number[]} steps */
  extend(steps) {
    const follows = this.index >= this.steps.length - 1,
      before = this.step;
    this.steps = steps;
    this.index = follows ? steps.length - 1 : Math.max(lastUpTo(steps, before), 0);
    this.show();
  }

  /** @param {number} index */
  go(index) {
    const next = Math.min(Math.max(index, 0), this.steps.length - 1);
    if (next === this.index) return;
    this.index = next;
    this.show();
    this.changed(this.step);
  }

  /** The measured step next to any step. @param {number} step */
  near(step) {
    const before = Math.max(lastUpTo(this.steps, step), 0);
    const after = Math.min(before + 1, this.steps.length - 1);
    const nearer = step - this.steps[before] > this.steps[after] - step ? after : before;
    this.go(nearer);
  }

  play() {
    if (this.timer !== undefined) {
      clearInterval(this.timer);
      this.timer = undefined;
    } else {
      if (this.index >= this.steps.length - 1) this.go(0);
      const pause = Math.min(Math.max(5000 / this.steps.length, 40), 500);
      this.timer = setInterval(() => {
        this.go(this.index + 1);
        if (this.index >= this.steps.length - 1) this.play();
      }, pause);
    }
    const playing = this.timer !== undefined;
    this.player.textContent = playing ? "❚❚" : "▶";
    this.player.setAttribute("aria-label", playing ? "pause (space)" : "play (space)");
  }

  show() {
    this.slider.max = String(Math.max(this.steps.length - 1, 0));
    this.slider.value = String(this.index);
    this.slider.disabled = this.steps.length < 2;
    this.slider.setAttribute("aria-valuetext", `step ${this.step}`);
    this.says.textContent = this.steps.length
      ? `step ${this.step} (${this.index + 1} of ${this.steps.length} measured)`
      : "nothing measured yet";
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (takesKeys(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const places = /** @type {Record<string, number>} */ ({
      ArrowLeft: this.index - 1,
      ArrowRight: this.index + 1,
      Home: 0,
      End: this.steps.length - 1,
    });
    if (event.key === " ") this.play();
    else if (event.key in places) this.go(places[event.key]);
    else return;
    event.preventDefault();
  }
}
