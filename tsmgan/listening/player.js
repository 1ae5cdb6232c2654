// Plays one of several recordings and switches between them at the same position.
// Positions are seconds of the stretched results; the original is mapped to them by the rate.

const FADE = 0.012; // seconds; short enough for one click per switch not to be heard
const BLIND_GAP = 0.08; // silence between two letters of a blind test, so that no phase jump tells them apart

class Player extends EventTarget {
  constructor(tracks, rate, samplerate) {
    super();
    this.tracks = tracks;
    this.rate = rate;
    this.samplerate = samplerate;
    this.duration = Math.max(...tracks.map((track, i) => (i === 0 ? track.seconds / rate : track.seconds)));
    this.selected = Math.min(1, tracks.length - 1);
    this.playing = false;
    this.matched = true;
    this.blind = false;
    this.loop = null; // [from, to] in seconds, or null
    this._position = 0;
    this._source = null;
  }

  // Decodes every recording; calls progress(done, all) after each.
  async load(sources, progress) {
    const decoder = this._decoder();
    for (let i = 0; i < sources.length; i++) {
      this.tracks[i].buffer = await decoder.decodeAudioData(bytesOf(sources[i]));
      progress(i + 1, sources.length);
    }
    const peak = (track) => {
      let most = 0;
      for (let c = 0; c < track.buffer.numberOfChannels; c++) {
        for (const sample of track.buffer.getChannelData(c)) most = Math.max(most, Math.abs(sample));
      }
      return most * track.scale;
    };
    const peaks = this.tracks.map(peak);
    const headroom = (gains) => Math.min(1, 1 / Math.max(1e-9, ...peaks.map((value, i) => value * gains[i])));
    const equal = this.tracks.map((track) => 10 ** (track.gain / 20));
    this._matchedGains = this.tracks.map((track, i) => equal[i] * track.scale * headroom(equal));
    const ones = this.tracks.map(() => 1);
    this._plainGains = this.tracks.map((track) => track.scale * headroom(ones));
  }

  _decoder() {
    try {
      return new OfflineAudioContext(1, 1, this.samplerate);
    } catch {
      return new OfflineAudioContext(1, 1, 48000);
    }
  }

  // How many seconds of a track pass in one second of position.
  pace(track) {
    return track === 0 ? this.rate : 1;
  }

  get position() {
    if (!this.playing) return this._position;
    const elapsed = Math.max(0, this._context.currentTime - this._anchor);
    return Math.min(this.duration, this._position + elapsed / this.pace(this.selected));
  }

  async play() {
    this._wanted = true;
    if (this.playing) return;
    if (!this._context) {
      try {
        this._context = new AudioContext({ sampleRate: this.samplerate });
      } catch {
        this._context = new AudioContext();
      }
    }
    await this._context.resume();
    if (!this._wanted || this.playing) return; // paused meanwhile, or asked for twice
    if (this._position >= this.duration - 0.01) this._position = this.loop ? this.loop[0] : 0;
    this.playing = true;
    this._start(this._position, 0);
    this._changed();
  }

  pause() {
    this._wanted = false;
    if (!this.playing) return;
    this._position = this.position;
    this.playing = false;
    this._stop(this._context.currentTime);
    this._changed();
  }

  seek(position) {
    position = Math.min(Math.max(0, position), this.duration);
    if (this.playing) {
      this._stop(this._context.currentTime);
      this._start(position, 0);
    } else {
      this._position = position;
    }
    this._changed();
  }

  select(track) {
    if (this.playing) {
      const position = this.position;
      this._stop(this._context.currentTime);
      this.selected = track;
      this._start(position, this.blind ? BLIND_GAP : 0);
    } else {
      this.selected = track;
    }
    this._changed();
  }

  match(on) {
    this.matched = on;
    if (this.playing) this.select(this.selected);
  }

  // Called for each frame of the display: ends and loops.
  tick() {
    if (!this.playing) return;
    const position = this.position;
    if (this.loop && position >= this.loop[1]) this.seek(this.loop[0]);
    else if (position >= this.duration) {
      this.pause();
      if (this.loop) this.seek(this.loop[0]);
    }
  }

  _start(position, gap) {
    const context = this._context;
    const when = context.currentTime + gap + 0.005;
    const gains = this.matched || this.blind ? this._matchedGains : this._plainGains;
    const source = context.createBufferSource();
    source.buffer = this.tracks[this.selected].buffer;
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, when);
    gain.gain.linearRampToValueAtTime(gains[this.selected], when + FADE);
    source.connect(gain).connect(context.destination);
    const offset = position * this.pace(this.selected);
    if (offset < source.buffer.duration) source.start(when, offset);
    this._source = source;
    this._gain = gain;
    this._position = position;
    this._anchor = when;
  }

  _stop(now) {
    if (!this._source) return;
    this._gain.gain.cancelScheduledValues(now);
    this._gain.gain.setValueAtTime(this._gain.gain.value, now);
    this._gain.gain.linearRampToValueAtTime(0, now + FADE);
    try {
      this._source.stop(now + FADE);
    } catch {
      // It was never started, because the position is after its end.
    }
    this._source = null;
  }

  _changed() {
    this.dispatchEvent(new Event("change"));
  }
}

// The bytes that a data: address holds.
function bytesOf(address) {
  const text = atob(address.slice(address.indexOf("base64,") + 7));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}
