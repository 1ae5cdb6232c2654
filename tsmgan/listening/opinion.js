// Asks which method is nearer to the original's voice: pairs to choose from, and a slider for each method. Names are hidden meanwhile.

function shuffled(values) {
  const order = [...values];
  for (let i = order.length - 1; i > 0; i--) {
    const j = crypto.getRandomValues(new Uint32Array(1))[0] % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

class Opinion {
  constructor(player, data) {
    this.player = player;
    this.data = data;
    this.running = false;
    this.letter = "";
    this.preferences = [];
    this.ratings = [];
    this._find = (id) => document.getElementById(id);
    this._find("opinion").hidden = data.tracks.length < 3;
    const on = (id, action) => this._find(id).addEventListener("click", action);
    on("opinion-pairs", () => this.startPairs());
    on("opinion-sliders", () => this.startSliders());
    on("opinion-original", () => this.listen(0, "original"));
    on("opinion-first", () => this.listen(this.pair[0], "first"));
    on("opinion-second", () => this.listen(this.pair[1], "second"));
    on("opinion-is-first", () => this.prefer(0));
    on("opinion-is-second", () => this.prefer(1));
    on("opinion-is-neither", () => this.prefer(null));
    on("opinion-done", () => this.finish());
    on("opinion-save", () => this.save());
  }

  get methods() {
    return this.data.tracks.slice(1).map((_, i) => i + 1);
  }

  // Every pair of methods once, in an order and with sides drawn by chance.
  startPairs() {
    this.waiting = shuffled(this.methods.flatMap((a) => this.methods.filter((b) => b > a).map((b) => shuffled([a, b]))));
    this.all = this.waiting.length;
    this._begin("pairs");
    this._nextPair();
  }

  _nextPair() {
    this.pair = this.waiting.pop();
    if (!this.pair) return this.finish();
    this._find("opinion-round").textContent = `Pair ${this.all - this.waiting.length} of ${this.all}`;
    this.listen(0, "original", false);
  }

  prefer(which) {
    const name = (track) => this.data.tracks[track].name;
    this.preferences.push({ first: name(this.pair[0]), second: name(this.pair[1]), chosen: which === null ? null : name(this.pair[which]) });
    this._nextPair();
  }

  startSliders() {
    this.order = shuffled(this.methods);
    const rows = this.order.map((track, i) => {
      const row = document.createElement("div"), button = document.createElement("button"), slider = document.createElement("input");
      const value = document.createElement("output"), letter = String.fromCharCode(65 + i);
      row.className = "row";
      Object.assign(button, { type: "button", textContent: letter });
      button.setAttribute("aria-label", `Listen to ${letter}`);
      Object.assign(slider, { type: "range", min: 0, max: 100, value: 50, ariaLabel: `Rating of ${letter}` });
      value.textContent = "not yet";
      button.addEventListener("click", () => this.listen(track, letter));
      slider.addEventListener("input", () => {
        value.textContent = slider.value;
        slider.dataset.touched = "true";
        this._find("opinion-done").disabled = rows.some((each) => !each.querySelector("input").dataset.touched);
      });
      row.append(button, slider, value);
      return row;
    });
    this._find("opinion-rows").replaceChildren(...rows);
    this._begin("sliders");
    this._find("opinion-round").textContent = "Rate every letter, 0 (bad) to 100 (the original's own voice)";
    this._find("opinion-done").disabled = true;
    this.listen(0, "original", false);
  }

  _begin(kind) {
    this.kind = kind;
    this._before = this.player.selected;
    this.running = this.player.blind = true;
    document.body.classList.add("testing");
    this._find("opinion-setup").hidden = true;
    this._find("opinion-run").hidden = false;
    for (const id of ["opinion-pair", "opinion-answers"]) this._find(id).hidden = kind !== "pairs";
    for (const id of ["opinion-rows", "opinion-finish"]) this._find(id).hidden = kind !== "sliders";
    this._find("opinion").scrollIntoView();
    this._find("opinion-round").focus({ preventScroll: true });
  }

  listen(track, letter, play = true) {
    this.letter = letter;
    this.player.select(track);
    if (play) this.player.play();
    this.onlisten?.(letter);
  }

  finish() {
    if (this.kind === "sliders") {
      const sliders = [...this._find("opinion-rows").querySelectorAll("input")];
      const scores = this.order.map((track, i) => ({ method: this.data.tracks[track].name, score: Number(sliders[i].value) }));
      this.ratings.push(scores.sort((a, b) => (a.method < b.method ? -1 : 1)));
    }
    this.player.pause();
    this.running = this.player.blind = false;
    document.body.classList.remove("testing");
    this._find("opinion-setup").hidden = false;
    this._find("opinion-run").hidden = true;
    this.player.select(this._before);
    this._find("opinion-save").disabled = false;
    this._find("opinion-told").textContent =
      `${this.preferences.length} preferences and ${this.ratings.length} rounds of ratings were given. Save them, and send the file to whoever asked you.`;
    this.onfinish?.();
  }

  get answers() {
    return {
      format: "tsmgan-answers-1",
      recording: this.data.name,
      rate: this.data.rate,
      listener: this._find("opinion-listener").value.trim(),
      methods: this.methods.map((track) => this.data.tracks[track].name),
      preferences: this.preferences,
      ratings: this.ratings,
    };
  }

  save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(this.answers, null, 2) + "\n"], { type: "application/json" }));
    const word = (text) => text.replace(/[^\w.-]+/g, "_");
    link.download = `answers-${word(this.data.name)}@${this.data.rate}${this.answers.listener ? `-${word(this.answers.listener)}` : ""}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}
