// Pictures of what is heard: overview, waveforms, spectrograms, the coherence field. All share one stretch of time.

const SAME_SCALE = 0.3; // seconds; in shorter views the original keeps its own time scale, so that its periods are as wide as they are
const LABEL_HEIGHT = 15; // pixels, as in style.css

// 256 colours, RGBA, between evenly spaced ones.
function colourTable(colours) {
  const parts = colours.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (parts.length - 1), low = Math.min(Math.floor(at), parts.length - 2), share = at - low;
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(parts[low][c] * (1 - share) + parts[low + 1][c] * share));
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

const mel = (hz) => Math.log10(1 + hz / 700);
const hertz = (value) => 700 * (10 ** value - 1);
const hertzLabel = (hz) => (hz >= 1000 ? `${hz / 1000} kHz` : `${hz} Hz`);

// In-place complex FFT of a power-of-two length.
class Fourier {
  constructor(size) {
    this.size = size;
    this.cos = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sin = Float64Array.from({ length: size / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / size));
    this.re = new Float64Array(size);
    this.im = new Float64Array(size);
  }

  run() {
    const { size, re, im, cos, sin } = this;
    for (let i = 1, j = 0; i < size; i++) {
      let bit = size >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        [re[i], re[j]] = [re[j], re[i]];
        [im[i], im[j]] = [im[j], im[i]];
      }
    }
    for (let half = 1; half < size; half *= 2) {
      const step = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = start + k, b = a + half, wr = cos[k * step], wi = -sin[k * step];
          const xr = re[b] * wr - im[b] * wi, xi = re[b] * wi + im[b] * wr;
          re[b] = re[a] - xr;
          im[b] = im[a] - xi;
          re[a] += xr;
          im[a] += xi;
        }
      }
    }
  }
}

class Views {
  constructor(player, data) {
    this.player = player;
    this.data = data;
    this.from = 0;
    this.to = player.duration;
    this.shown = "pair";
    this.windowSeconds = 0.0427;
    this.fieldKind = "coherence";
    this.heat = colourTable(data.scales.spectrogram);
    this.fieldColours = colourTable(data.scales.field);
    this.panels = new Map();
    this._ffts = new Map();
    this._host = document.getElementById("panels");
    this._overview = document.getElementById("overview");
    this._field = document.getElementById("field");
    this.topHz = Math.min(16000, data.samplerate / 2);
    for (const track of data.tracks) if (track.field) this._unpack(track.field);
  }

  _unpack(field) {
    for (const kind of ["coherence", "attack"]) field[kind] = new Uint8Array(bytesOf("base64," + field[kind]));
    field.frames = field.coherence.length / field.bands;
  }

  // To be called once the sounds are decoded.
  ready() {
    for (const track of this.data.tracks) track.mono = mixed(track.buffer);
    for (const element of [this._overview, this._field]) this._listen(element);
    new ResizeObserver(() => this._drawAll()).observe(this._host); // at once: a frame later the old pictures would have been seen
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this._drawAll();
  }

  // Shows [from, to] seconds, moved into the recording and no shorter than 10 ms.
  show(from, to) {
    const duration = this.player.duration;
    const length = Math.min(Math.max(to - from, 0.01), duration);
    this.from = Math.min(Math.max(0, (from + to - length) / 2), duration - length);
    this.to = this.from + length;
    this.onrange?.();
    this.draw();
  }

  zoom(factor, around) {
    around ??= this.player.position >= this.from && this.player.position <= this.to ? this.player.position : (this.from + this.to) / 2;
    const share = (around - this.from) / (this.to - this.from);
    const length = Math.min(Math.max((this.to - this.from) * factor, 0.01), this.player.duration);
    const from = around - share * length;
    this.show(from, from + length);
  }

  scroll(shares) {
    const by = shares * (this.to - this.from);
    this.show(this.from + by, this.to + by);
  }

  // Keeps a position in sight, turning a page when it leaves.
  follow(position) {
    if (position < this.from || position > this.to) {
      const length = this.to - this.from;
      this.show(position - 0.1 * length, position + 0.9 * length);
    }
  }

  get visibleTracks() {
    if (this.shown === "all") return this.data.tracks.map((_, i) => i);
    return [...new Set([this.player.selected, 0])];
  }

  // What part of a track stands under [from, to]: its own seconds.
  _span(track) {
    if (track !== 0) return [this.from, this.to];
    const pace = this.data.rate, length = this.to - this.from;
    if (length >= SAME_SCALE) return [this.from * pace, this.to * pace];
    const middle = ((this.from + this.to) / 2) * pace;
    return [middle - length / 2, middle + length / 2];
  }

  draw() {
    this._asked ??= requestAnimationFrame(() => this._drawAll());
  }

  // Whether every picture shows what it is to show.
  get isDrawn() {
    return this._asked === undefined && this._later === undefined;
  }

  _drawAll() {
    cancelAnimationFrame(this._asked);
    this._asked = undefined;
    if (!this.data.tracks[0].mono || !this._host.clientWidth) return;
    const style = getComputedStyle(document.documentElement);
    this.colours = {};
    for (const name of ["ground", "paper", "ink", "soft", "line", "wave", "wave-original", "attack", "head", "accent"]) {
      this.colours[name] = style.getPropertyValue("--" + name).trim();
    }
    this._layOut();
    this._drawOverview();
    for (const track of this.visibleTracks) {
      this._drawMap(track);
      this._drawWave(track);
    }
    this._drawField();
    this.drawHead();
    clearTimeout(this._later);
    this._later = setTimeout(() => this._drawSpectra(), 40); // the slow ones when zooming pauses
  }

  _layOut() {
    const wanted = this.visibleTracks, key = wanted.join();
    if (this._laidOut !== key) {
      this._laidOut = key;
      this._host.replaceChildren();
      this.panels.clear();
      for (const track of wanted) this.panels.set(track, this._panel(track));
    }
    for (const [track, panel] of this.panels) {
      panel.note.textContent = track === 0 ? this._originalNote() : "";
      const name = this.data.tracks[track].name, span = `${this.from.toFixed(2)} to ${this.to.toFixed(2)} s`;
      panel.map?.setAttribute("aria-label", this._mapLabel(track));
      panel.wave.setAttribute("aria-label", `Waveform of ${name}, ${span}`);
      panel.spectrum.setAttribute("aria-label", `Spectrogram of ${name}, ${span}`);
    }
  }

  _originalNote() {
    return this.to - this.from < SAME_SCALE
      ? " the same moment, at its own time scale"
      : ` the same moments, time axis times ${(1 / this.data.rate).toPrecision(3)}`;
  }

  _panel(track) {
    const block = document.createElement("div");
    block.className = "track-panel";
    const title = document.createElement("h3");
    title.textContent = `${track + 1}. ${this.data.tracks[track].name}`;
    const note = document.createElement("small");
    title.append(note);
    const [map, wave, spectrum] = ["map", "wave", "spectrum"].map((kind) => {
      if (kind === "map" && !this.data.tracks[track].map) return null;
      const canvas = document.createElement("canvas");
      canvas.className = `panel ${kind}`;
      canvas.setAttribute("role", "img");
      this._listen(canvas, track);
      return canvas;
    });
    block.append(title, ...(map ? [map] : []), wave, spectrum);
    this._host.append(block);
    return { map, wave, spectrum, note };
  }

  // A canvas's context, in CSS pixels, cleared.
  _context(canvas, ground) {
    const scale = Math.min(2, window.devicePixelRatio || 1), width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    context.fillStyle = ground;
    context.fillRect(0, 0, width, height);
    return { context, width, height };
  }

  _drawOverview() {
    const { context, width, height } = this._context(this._overview, this.colours.ground);
    const track = this.data.tracks[this.player.selected], pace = this.player.pace(this.player.selected);
    context.fillStyle = this.colours["wave-original"];
    envelope(context, track.mono, this.data.samplerate, 0, this.player.duration * pace, width, height);
    const left = (this.from / this.player.duration) * width, right = (this.to / this.player.duration) * width;
    context.globalAlpha = 0.16;
    context.fillStyle = this.colours.accent;
    context.fillRect(left, 0, Math.max(2, right - left), height);
    context.globalAlpha = 1;
    context.strokeStyle = this.colours.accent;
    context.strokeRect(left + 0.5, 0.5, Math.max(2, right - left) - 1, height - 1);
  }

  // The lowest and the highest rate of a track.
  _rates(track) {
    const rates = this.data.tracks[track].map.map(([, rate]) => rate);
    return [Math.min(...rates), Math.max(...rates)];
  }

  _mapLabel(track) {
    const [low, high] = this._rates(track), name = this.data.tracks[track].name;
    return low === high ? `Time map of ${name}: rate ${low} throughout` : `Time map of ${name}: rates from ${low} to ${high}`;
  }

  // How fast each moment is: a line of steps, on a logarithmic scale that all tracks share.
  _drawMap(track) {
    const canvas = this.panels.get(track).map;
    if (!canvas) return;
    const { context, width, height } = this._context(canvas, this.colours.ground);
    const all = this.data.tracks.flatMap((each, i) => (each.map ? this._rates(i) : []));
    const low = Math.log(Math.min(...all) / 1.3), high = Math.log(Math.max(...all) * 1.3);
    const place = (rate) => height * (1 - (Math.log(rate) - low) / (high - low));
    const { map, seconds } = this.data.tracks[track];
    const across = (second) => ((second - this.from) / (this.to - this.from)) * width;
    context.strokeStyle = this.colours.wave;
    context.lineWidth = 1.6;
    context.beginPath();
    map.forEach(([begin, rate], i) => {
      context.lineTo(across(begin), place(rate));
      context.lineTo(across(i + 1 < map.length ? map[i + 1][0] : seconds), place(rate));
    });
    context.stroke();
    const [least, most] = this._rates(track);
    const labels = least === most ? [[least, `rate ${least}`]] : [[most, `${most}`], [least, `rate ${least}`]];
    this._label(canvas, "second", labels.map(([rate, text]) => ({ text, place: `left:4px;top:${beside(place(rate) / height, 0)}` })));
  }

  _drawWave(track) {
    const { context, width, height } = this._context(this.panels.get(track).wave, this.colours.ground);
    const samples = this.data.tracks[track].mono, [from, to] = this._span(track);
    this._drawGrid(this.panels.get(track).wave, context, width, height, from, to);
    context.fillStyle = context.strokeStyle = track === 0 ? this.colours["wave-original"] : this.colours.wave;
    const perPixel = ((to - from) * this.data.samplerate) / width;
    if (perPixel > 3) envelope(context, samples, this.data.samplerate, from, to, width, height, this._loudest(from, to, track));
    else line(context, samples, this.data.samplerate, from, to, width, height, this._loudest(from, to, track));
    context.fillStyle = this.colours.attack;
    for (const attack of this.data.attacks) {
      const at = track === 0 ? attack * this.data.rate : attack, x = ((at - from) / (to - from)) * width;
      if (x < 0 || x > width) continue;
      context.beginPath();
      context.moveTo(x - 4, 0);
      context.lineTo(x + 4, 0);
      context.lineTo(x, 7);
      context.fill();
    }
  }

  // Every track is drawn at one scale: that of the loudest shown sample.
  _loudest() {
    let most = 1e-4;
    for (const track of this.visibleTracks) {
      const [from, to] = this._span(track), samples = this.data.tracks[track].mono, rate = this.data.samplerate;
      const first = Math.max(0, Math.floor(from * rate)), last = Math.min(samples.length, Math.ceil(to * rate));
      const step = Math.max(1, Math.floor((last - first) / 200000));
      for (let i = first; i < last; i += step) most = Math.max(most, Math.abs(samples[i]));
    }
    return most * 1.05;
  }

  _drawGrid(canvas, context, width, height, from, to) {
    const raw = (to - from) / Math.max(2, width / 110), power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const labels = [];
    context.strokeStyle = this.colours.line;
    context.lineWidth = 1;
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      const x = Math.round(((t - from) / (to - from)) * width) + 0.5;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.stroke();
      labels.push({ text: `${t.toFixed(digits)} s`, place: `left:calc(${(100 * x) / width}% + 2px);bottom:1px` });
    }
    this._label(canvas, "second", labels);
  }

  // One after the other, so that the page stays responsive.
  _drawSpectra(waiting = this.visibleTracks) {
    this._later = undefined;
    const [track, ...others] = waiting;
    if (this.panels.has(track)) this._drawSpectrum(track);
    if (others.length) this._later = setTimeout(() => this._drawSpectra(others));
  }

  _drawSpectrum(track) {
    const { context, width, height } = this._context(this.panels.get(track).spectrum, this.data.scales.spectrogram[0]);
    const rate = this.data.samplerate, samples = this.data.tracks[track].mono, [from, to] = this._span(track);
    const length = Math.round(this.windowSeconds * rate);
    const size = 2 ** Math.ceil(Math.log2(Math.max(length * 1.5, 256)));
    if (!this._ffts.has(size)) this._ffts.set(size, new Fourier(size));
    const fft = this._ffts.get(size);
    const columns = Math.max(2, Math.floor(width)), rows = Math.floor(height);
    if (rows < 1) return; // the panel is folded away, as it is while a test or a rating is under way
    const image = new ImageData(columns, rows), pixels = new Uint32Array(image.data.buffer);
    const low = mel(0), high = mel(this.topHz);
    const place = Float64Array.from({ length: rows }, (_, y) => (hertz(high - ((y + 0.5) / rows) * (high - low)) * size) / rate);
    const level = this._reference();
    // two real columns at once: one is the real, the other the imaginary part
    for (let x = 0; x < columns; x += 2) {
      fft.re.fill(0);
      fft.im.fill(0);
      for (const [part, column] of [[fft.re, x], [fft.im, x + 1]]) {
        const middle = Math.round((from + ((column + 0.5) / columns) * (to - from)) * rate), start = middle - (length >> 1);
        for (let i = 0; i < length; i++) {
          const sample = samples[start + i];
          if (sample) part[i] = sample * (0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / length));
        }
      }
      fft.run();
      const power = [new Float64Array(size / 2 + 1), new Float64Array(size / 2 + 1)];
      for (let k = 0; k <= size / 2; k++) {
        const m = (size - k) % size, { re, im } = fft;
        power[0][k] = ((re[k] + re[m]) ** 2 + (im[k] - im[m]) ** 2) / 4;
        power[1][k] = ((im[k] + im[m]) ** 2 + (re[m] - re[k]) ** 2) / 4;
      }
      for (let y = 0; y < rows; y++) {
        const bin = Math.min(place[y], size / 2 - 1), k = Math.floor(bin), share = bin - k;
        // where a row is wider than a bin, the strongest of its bins counts
        const next = y > 0 ? Math.min(place[y - 1], size / 2) : bin;
        for (let column = 0; column < 2 && x + column < columns; column++) {
          let value = power[column][k] * (1 - share) + power[column][k + 1] * share;
          for (let b = k + 1; b < next; b++) value = Math.max(value, power[column][b]);
          const decibels = 10 * Math.log10(value / (length * length) + 1e-20) - level;
          pixels[y * columns + x + column] = this.heat[Math.max(0, Math.min(255, Math.round(255 * (1 + decibels / this.data.scales.decibels))))];
        }
      }
    }
    this._put(image, context, width, height);
    this._drawHertz(this.panels.get(track).spectrum, context, height, low, high);
  }

  // Draws an image over a whole canvas, and at once: what is drawn later may find a canvas of another size.
  _put(image, context, width, height) {
    const sheet = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    sheet.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(sheet, 0, 0, width, height);
  }

  // Level of the original's loudest sine, roughly, in dB: the top of the colours.
  _reference() {
    if (this._referenceLevel === undefined) {
      let sum = 0, most = 1e-12;
      const samples = this.data.tracks[0].mono, block = Math.round(0.05 * this.data.samplerate);
      for (let i = 0; i < samples.length; i++) {
        sum += samples[i] * samples[i];
        if ((i + 1) % block === 0) {
          most = Math.max(most, sum / block);
          sum = 0;
        }
      }
      this._referenceLevel = 10 * Math.log10(most) - 12;
    }
    return this._referenceLevel;
  }

  // Marks of the frequency axis. A label stands beside its mark, moved as far as it must be to be whole; one that would cover the label
  // below is left out with its mark.
  _drawHertz(canvas, context, height, low, high) {
    const labels = [];
    let lowest = height;
    for (const hz of this.data.scales.ticks) {
      const y = Math.round(height * (1 - (mel(hz) - low) / (high - low)));
      const top = Math.min(Math.max(1, y - (LABEL_HEIGHT >> 1)), height - LABEL_HEIGHT - 1);
      if (y < 0 || y > height || top + LABEL_HEIGHT > lowest) continue;
      lowest = top;
      context.fillStyle = "#000000";
      context.fillRect(0, y - 1, 7, 3);
      context.fillStyle = "#ffffff";
      context.fillRect(0, y, 6, 1);
      labels.push({ text: hertzLabel(hz), place: `left:9px;top:${beside(y / height, 1)}` });
    }
    this._label(canvas, "hertz", labels);
  }

  // Labels are elements over a picture: they keep their contrast whatever is drawn below them. Their places are shares of the picture, so
  // that they stay in it when its size changes before they are drawn anew.
  _label(canvas, kind, labels) {
    const width = canvas.clientWidth;
    this._holder(canvas).querySelectorAll(".tick").forEach((old) => old.remove());
    for (const { text, place } of labels) {
      const element = document.createElement("span");
      element.className = `tick ${kind}`;
      element.ariaHidden = "true";
      element.textContent = text;
      element.style.cssText = place;
      this._holder(canvas).append(element);
      if (element.offsetLeft + element.offsetWidth > width) element.remove();
    }
  }

  // The box of a picture and what lies over it.
  _holder(canvas) {
    if (!canvas.holder) {
      canvas.holder = document.createElement("div");
      canvas.holder.className = "picture";
      canvas.replaceWith(canvas.holder);
      canvas.holder.append(canvas);
    }
    return canvas.holder;
  }

  // The chosen track's field, else that of the first track that has one.
  get fieldTrack() {
    const chosen = this.data.tracks[this.player.selected];
    return chosen.field ? chosen : this.data.tracks.find((track) => track.field);
  }

  _drawField() {
    const track = this.fieldTrack;
    if (!track) return;
    const { context, width, height } = this._context(this._field, this.colours.ground);
    const { bands, frames, step } = track.field, values = track.field[this.fieldKind];
    const columns = Math.max(2, Math.floor(width)), rows = Math.floor(height);
    if (rows < 1) return; // the panel is folded away, as it is while a test or a rating is under way
    const image = new ImageData(columns, rows), pixels = new Uint32Array(image.data.buffer);
    const [low, high] = this._fieldScale();
    for (let x = 0; x < columns; x++) {
      const frame = Math.round((this.from + ((x + 0.5) / columns) * (this.to - this.from)) / step);
      if (frame >= frames) continue;
      for (let y = 0; y < rows; y++) {
        const band = this._bandAt(low + (1 - (y + 0.5) / rows) * (high - low));
        pixels[y * columns + x] = this.fieldColours[values[frame * bands + band]];
      }
    }
    this._put(image, context, width, height);
    this._drawHertz(this._field, context, height, low, high);
    const what = this.fieldKind === "coherence" ? "Coherence field" : "Attack mix";
    this._field.setAttribute("aria-label", `${what} of ${track.name} over time and frequency; the mean coherence is ${track.field.mean}`);
  }

  _fieldScale() {
    const centres = this.data.bands, half = (mel(centres[1]) - mel(centres[0])) / 2;
    return [mel(centres[0]) - half, mel(centres[centres.length - 1]) + half];
  }

  _bandAt(value) {
    const centres = this.data.bands, first = mel(centres[0]), last = mel(centres[centres.length - 1]);
    return Math.min(centres.length - 1, Math.max(0, Math.round(((value - first) / (last - first)) * (centres.length - 1))));
  }

  // What the field says at a place of its canvas.
  fieldValue(x, y) {
    const { bands, frames, step } = this.fieldTrack.field, [low, high] = this._fieldScale();
    const time = this.from + x * (this.to - this.from), frame = Math.min(frames - 1, Math.round(time / step));
    const band = this._bandAt(low + (1 - y) * (high - low));
    return { time, hz: this.data.bands[band], value: this.fieldTrack.field[this.fieldKind][frame * bands + band] / 255 };
  }

  // The play head, an element over each picture rather than a stroke in it.
  drawHead() {
    const position = this.player.position;
    for (const canvas of [this._overview, this._field, ...[...this.panels.values()].flatMap((panel) => [panel.map, panel.wave, panel.spectrum])]) {
      if (!canvas) continue;
      let share = canvas === this._overview ? position / this.player.duration : (position - this.from) / (this.to - this.from);
      const original = this.panels.get(0);
      if (original && (canvas === original.wave || canvas === original.spectrum)) {
        const [from, to] = this._span(0);
        share = (position * this.data.rate - from) / (to - from);
      }
      this._head(canvas, share);
    }
  }

  _head(canvas, share) {
    if (!canvas.head) {
      canvas.head = document.createElement("div");
      canvas.head.className = "head";
      this._holder(canvas).append(canvas.head);
    }
    canvas.head.hidden = !(share >= 0 && share <= 1);
    canvas.head.style.left = `${100 * share}%`;
  }

  // Click seeks, drag scrolls, two fingers or ctrl + wheel zoom.
  _listen(canvas, track) {
    const whole = canvas === this._overview, fingers = new Map();
    let moved = false, spread = 0;
    const share = (event) => {
      const box = canvas.getBoundingClientRect();
      return (event.clientX - box.left) / box.width;
    };
    const seconds = (event) => {
      if (whole) return share(event) * this.player.duration;
      if (track !== 0) return this.from + share(event) * (this.to - this.from);
      const [from, to] = this._span(0);
      return (from + share(event) * (to - from)) / this.data.rate;
    };
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, event.clientX);
      canvas.setPointerCapture(event.pointerId);
      moved = false;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = fingers.get(event.pointerId), length = this.to - this.from;
      if (fingers.size === 2) {
        fingers.set(event.pointerId, event.clientX);
        const [a, b] = [...fingers.values()], now = Math.abs(a - b);
        if (spread) this.zoom(Math.min(2, Math.max(0.5, spread / Math.max(now, 10))), (this.from + this.to) / 2);
        spread = now;
        moved = true;
      } else if (moved || Math.abs(event.clientX - before) > 5) {
        const by = ((event.clientX - before) / canvas.clientWidth) * (whole ? -this.player.duration : length);
        this.show(this.from - by, this.to - by);
        fingers.set(event.pointerId, event.clientX);
        moved = true;
      }
    });
    const up = (event) => {
      const was = fingers.delete(event.pointerId);
      spread = 0;
      if (!was || moved || event.type === "pointercancel") return;
      this.player.seek(seconds(event));
      if (track !== undefined) this.onpick?.(track);
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return; // the page scrolls
      event.preventDefault();
      if (event.ctrlKey) this.zoom(Math.exp(event.deltaY * 0.004), whole ? undefined : this.from + share(event) * (this.to - this.from));
      else this.scroll(event.deltaX / canvas.clientWidth);
    }, { passive: false });
  }
}

// Mean of the channels; where they cancel each other, the first.
function mixed(buffer) {
  const first = buffer.getChannelData(0);
  if (buffer.numberOfChannels === 1) return first;
  const second = buffer.getChannelData(1), out = new Float32Array(first.length);
  let sum = 0, alone = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = 0.5 * (first[i] + second[i]);
    sum += out[i] * out[i];
    alone += first[i] * first[i];
  }
  return sum > 0.01 * alone ? out : first;
}

// CSS for the top of a label beside a mark at that share of a picture's height, no nearer to its edges than `margin` pixels.
function beside(share, margin) {
  return `clamp(${margin}px, ${100 * share}% - ${LABEL_HEIGHT >> 1}px, 100% - ${LABEL_HEIGHT + margin}px)`;
}

// Filled waveform: the lowest and highest sample of each pixel.
function envelope(context, samples, samplerate, from, to, width, height, loudest) {
  let most = loudest ?? 0;
  if (!most) for (let i = 0; i < samples.length; i += 7) most = Math.max(most, Math.abs(samples[i]));
  const middle = height / 2, scale = (0.92 * middle) / (most || 1), step = ((to - from) * samplerate) / width;
  for (let x = 0; x < width; x++) {
    const first = Math.max(0, Math.floor(from * samplerate + x * step)), last = Math.min(samples.length, Math.ceil(first + step));
    if (first >= last) continue;
    let low = Infinity, high = -Infinity;
    for (let i = first; i < last; i++) {
      if (samples[i] < low) low = samples[i];
      if (samples[i] > high) high = samples[i];
    }
    context.fillRect(x, middle - high * scale, 1, Math.max(1, (high - low) * scale));
  }
}

// Waveform as a line through every sample.
function line(context, samples, samplerate, from, to, width, height, loudest) {
  const middle = height / 2, scale = (0.92 * middle) / loudest;
  const first = Math.max(0, Math.floor(from * samplerate)), last = Math.min(samples.length - 1, Math.ceil(to * samplerate));
  context.lineWidth = 1.4;
  context.lineJoin = "round";
  context.beginPath();
  for (let i = first; i <= last; i++) context.lineTo(((i / samplerate - from) / (to - from)) * width, middle - samples[i] * scale);
  context.stroke();
}
