// A blind test: X is A or B by chance in each round, and how often a listener was right says whether there is a difference to hear.

// Probability of at least `right` right answers in `rounds` rounds by guessing alone.
function guessingProbability(right, rounds) {
  let sum = 0, ways = 1;
  for (let k = 0; k <= rounds; k++) {
    if (k >= right) sum += ways;
    ways = (ways * (rounds - k)) / (k + 1);
  }
  return sum / 2 ** rounds;
}

function fairCoin() {
  return crypto.getRandomValues(new Uint8Array(1))[0] & 1;
}

class Abx {
  constructor(player, tracks) {
    this.player = player;
    this.tracks = tracks;
    this.running = false;
    this._find = (id) => document.getElementById(id);
    // The original is not among them, since its speed would give it away.
    for (const [id, chosen] of [["abx-a", 1], ["abx-b", 2]]) {
      this._find(id).append(...tracks.slice(1).map((track, i) => new Option(track.name, i + 1, false, i + 1 === chosen)));
    }
    this._find("blind").hidden = tracks.length < 3;
    this._find("abx-start").addEventListener("click", () => this.start());
    this._find("abx-stop").addEventListener("click", () => this.finish());
    this._find("abx-is-a").addEventListener("click", () => this.answer(0));
    this._find("abx-is-b").addEventListener("click", () => this.answer(1));
    for (const button of document.querySelectorAll(".choice")) button.addEventListener("click", () => this.listen(button.dataset.letter));
  }

  start() {
    const pair = [Number(this._find("abx-a").value), Number(this._find("abx-b").value)];
    if (pair[0] === pair[1]) {
      this._show("<p>Choose two different methods: there is nothing to tell apart.</p>");
      return;
    }
    this.pair = pair;
    this.rounds = Number(this._find("abx-rounds").value);
    this.done = this.right = 0;
    this.running = this.player.blind = true;
    this._before = this.player.selected;
    document.body.classList.add("testing");
    this._find("abx-setup").hidden = true;
    this._find("abx-run").hidden = false;
    this._find("abx-result").hidden = true;
    this._find("abx-result").replaceChildren();
    this._next();
    this._find("blind").scrollIntoView();
    this._find("abx-round").focus({ preventScroll: true });
  }

  _next() {
    this.x = fairCoin();
    this._find("abx-round").textContent = `Round ${this.done + 1} of ${this.rounds}`;
    this.listen("x", false);
  }

  // a, b or x; starts to play unless told not to.
  listen(letter, play = true) {
    this.letter = letter;
    for (const button of document.querySelectorAll(".choice")) button.setAttribute("aria-pressed", button.dataset.letter === letter);
    this.player.select(this.pair[letter === "a" ? 0 : letter === "b" ? 1 : this.x]);
    if (play) this.player.play();
    this.onlisten?.(letter.toUpperCase());
  }

  answer(which) {
    if (!this.running) return;
    this.done++;
    if (which === this.x) this.right++;
    if (this.done === this.rounds) this.finish();
    else {
      this._next();
      this.onround?.(`Round ${this.done + 1} of ${this.rounds}`);
    }
  }

  finish() {
    this.player.pause();
    this.running = this.player.blind = false;
    document.body.classList.remove("testing");
    this._find("abx-setup").hidden = false;
    this._find("abx-run").hidden = true;
    this.player.select(this._before);
    if (this.done) this._tell();
    this.onfinish?.();
  }

  _tell() {
    const p = guessingProbability(this.right, this.done), names = this.pair.map((i) => this.tracks[i].name);
    const verdict =
      p < 0.05
        ? `Guessing alone does that in ${(100 * p).toPrecision(2)} % of such tests: you most likely hear a difference.`
        : `Guessing alone does that in ${(100 * p).toPrecision(2)} % of such tests: this shows no difference${this.done < 10 ? ", but so few rounds rarely show one" : ""}.`;
    const early = this.done < this.rounds ? " You stopped early, which makes the result look better than it is." : "";
    const box = this._find("abx-result");
    box.hidden = false;
    const score = document.createElement("p"), words = document.createElement("p");
    score.className = "big";
    score.id = "abx-score";
    score.textContent = `${this.right} of ${this.done} right, p = ${p.toFixed(3)}`;
    words.textContent = `${names[0]} against ${names[1]}. ${verdict}${early}`;
    box.replaceChildren(score, words);
    box.focus();
  }

  _show(html) {
    const box = this._find("abx-result");
    box.hidden = false;
    box.innerHTML = html;
  }
}
