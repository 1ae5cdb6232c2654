// Ties the page together: buttons, keys, the clock, what a screen reader hears.

(async function main() {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const sources = [...document.querySelectorAll("#sounds audio")].map((audio) => audio.src);
  const player = new Player(data.tracks, data.rate, data.samplerate);
  const views = new Views(player, data);
  const abx = new Abx(player, data.tracks);
  const opinion = new Opinion(player, data);
  const testing = () => abx.running || opinion.running;
  document.documentElement.classList.add("scripted");
  document.querySelectorAll("#sounds audio").forEach((audio) => audio.removeAttribute("src")); // the bytes are needed once only

  const say = (text) => (find("live").textContent = text);
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

  const buttons = data.tracks.map((track, i) => {
    const button = document.createElement("button");
    button.type = "button";
    const key = Object.assign(document.createElement("kbd"), { textContent: i + 1, ariaHidden: "true" });
    const name = document.createElement("b");
    for (const part of track.name.split(/(?<=[-:=/_,@])/)) name.append(part, document.createElement("wbr")); // lines end between words
    const about = Object.assign(document.createElement("span"), { textContent: i === 0 ? "at its own speed" : `${track.seconds.toFixed(2)} s` });
    button.append(key, name, about);
    button.addEventListener("click", () => choose(i));
    find("tracks").append(button);
    return button;
  });

  function choose(track) {
    if (track >= data.tracks.length || testing()) return;
    player.select(track);
    say(`${track + 1}, ${data.tracks[track].name}`);
  }

  // The sound that is chosen, as the page holds it: its own level, in the page's format.
  function saveSound() {
    const source = sources[player.selected], kind = source.match(/^data:audio\/(\w+)/)?.[1] ?? "wav";
    const stem = `${data.name.replace(/\.[^.]*$/, "")}-${data.tracks[player.selected].name}@${data.rate}`;
    Object.assign(document.createElement("a"), { href: source, download: `${stem.replace(/[^\w.@-]+/g, "_")}.${kind}` }).click();
  }

  function toggle() {
    if (player.playing) player.pause();
    else player.play();
  }

  function refresh() {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === player.selected));
    find("now").textContent = abx.running ? abx.letter?.toUpperCase() ?? "" : opinion.running ? opinion.letter : data.tracks[player.selected].name;
    find("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
    find("play-icon").setAttribute("d", player.playing ? "M6 4h4v16H6zM14 4h4v16h-4z" : "M7 4v16l13-8z");
    const field = views.fieldTrack;
    find("field-block").hidden = !field;
    if (field) describeField(field);
    showTime();
    views.draw();
  }

  function describeField(track) {
    const coherence = views.fieldKind === "coherence";
    find("field-title").textContent = `What ${track.name} decided`;
    find("field-hint").textContent = coherence
      ? `Coherence, for each moment and frequency: 0 joins tones smoothly (a phase vocoder), 1 keeps the waveform's own shape, and with it a voice's pulses. Its mean here is ${track.field.mean.toFixed(2)}.`
      : "Attack mix, for each moment and frequency: 0 is best for voices and steady tones, 1 for attacks.";
    find("scale-low").textContent = coherence ? "0 tones" : "0 steady";
    find("scale-high").textContent = coherence ? "1 pulses" : "1 attack";
  }

  function showTime() {
    const position = player.position;
    find("clock").textContent = `${clock(position)} / ${clock(player.duration)}`;
    if (!find("position").matches(":active")) find("position").value = position;
    find("position").setAttribute("aria-valuetext", `${position.toFixed(1)} seconds of ${player.duration.toFixed(1)}`);
  }

  let moving = false;

  // Follows the sound from one picture of the screen to the next, in a single chain however often something changes.
  function follow() {
    if (moving || !player.playing) return;
    moving = true;
    requestAnimationFrame(() => {
      moving = false;
      player.tick();
      showTime();
      if (player.playing && !player.loop && !testing()) views.follow(player.position);
      views.drawHead();
      follow();
    });
  }

  function setLoop() {
    player.loop = find("loop").checked && !testing() ? [views.from, views.to] : null;
    if (player.loop && (player.position < views.from || player.position >= views.to)) player.seek(views.from);
  }

  function nextAttack() {
    const next = data.attacks.find((second) => second > player.position + 0.02) ?? data.attacks[0];
    if (next === undefined) return say("No attack was found");
    player.seek(next);
    const length = Math.min(views.to - views.from, 0.2);
    views.show(next - 0.3 * length, next + 0.7 * length);
    say(`Attack at ${next.toFixed(2)} seconds`);
  }

  function seekBy(direction) {
    player.seek(player.position + direction * Math.min(1, (views.to - views.from) / 10));
    views.follow(player.position);
  }

  views.onrange = () => {
    const length = views.to - views.from;
    find("range").textContent = `Shown: ${views.from.toFixed(2)} to ${views.to.toFixed(2)} s (${length < 1 ? `${Math.round(1000 * length)} ms` : `${length.toFixed(1)} s`}). Triangles mark where sounds begin.`;
    if (player.loop) setLoop();
  };
  views.onpick = choose;
  player.addEventListener("change", () => {
    refresh();
    follow();
  });
  abx.onlisten = (letter) => {
    refresh();
    say(`${letter} plays`);
  };
  abx.onround = say;
  abx.onfinish = opinion.onfinish = () => {
    setLoop();
    refresh();
  };
  opinion.onlisten = (letter) => {
    setLoop();
    refresh();
    say(`${letter} plays`);
  };

  const actions = {
    play: toggle,
    "save-sound": saveSound,
    back: () => views.scroll(-0.5),
    forth: () => views.scroll(0.5),
    in: () => views.zoom(0.5),
    out: () => views.zoom(2),
    whole: () => views.show(0, player.duration),
    pulses: () => views.show(player.position - 0.03, player.position + 0.03),
    attack: nextAttack,
    "abx-start": setLoop,
  };
  for (const [id, action] of Object.entries(actions)) find(id).addEventListener("click", action);
  find("match").addEventListener("change", (event) => player.match(event.target.checked));
  find("loop").addEventListener("change", setLoop);
  find("shown").addEventListener("change", (event) => ((views.shown = event.target.value), views.draw()));
  find("window").addEventListener("change", (event) => ((views.windowSeconds = Number(event.target.value)), views.draw()));
  find("field-kind").addEventListener("change", (event) => ((views.fieldKind = event.target.value), refresh()));
  find("position").addEventListener("input", (event) => {
    player.seek(Number(event.target.value));
    views.follow(player.position);
  });
  find("field").addEventListener("pointermove", (event) => {
    const box = find("field").getBoundingClientRect();
    const { time, hz, value } = views.fieldValue((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    find("field-value").textContent = `${time.toFixed(2)} s, ${hertzLabel(hz)}: ${value.toFixed(2)}`;
  });

  const keys = {
    " ": toggle,
    ArrowLeft: () => seekBy(-1),
    ArrowRight: () => seekBy(1),
    Home: () => (player.seek(0), views.follow(0)),
    "+": actions.in,
    "=": actions.in,
    "-": actions.out,
    "0": actions.whole,
    p: actions.pulses,
    n: nextAttack,
    l: () => find("loop").click(),
  };
  const blindKeys = {
    " ": toggle,
    ArrowLeft: () => player.seek(player.position - 1),
    ArrowRight: () => player.seek(player.position + 1),
    Home: () => player.seek(0),
    a: () => abx.running && abx.listen("a"),
    b: () => abx.running && abx.listen("b"),
    x: () => abx.running && abx.listen("x"),
    A: () => abx.answer(0),
    B: () => abx.answer(1),
  };
  document.addEventListener("keydown", (event) => {
    const target = event.target, shiftArrow = event.shiftKey && { ArrowLeft: -0.5, ArrowRight: 0.5 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input[type=text]")) return;
    if (target.matches("input[type=range]") && /^(Arrow|Home)/.test(event.key)) return; // the slider's own keys
    if (target.matches("button, input[type=checkbox], summary, a") && event.key === " ") return; // presses what has the focus
    const action = testing()
      ? blindKeys[event.key]
      : shiftArrow
        ? () => views.scroll(shiftArrow)
        : /^[1-9]$/.test(event.key)
          ? () => choose(Number(event.key) - 1)
          : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  // After a press with mouse or finger the space bar plays again, rather than pressing once more.
  document.addEventListener("click", (event) => {
    if (event.pointerType && event.target.closest("button, label.check")) document.activeElement.blur();
  });

  // A title's meaning also shows while the pointer rests on it.
  for (const button of document.querySelectorAll(".tip")) {
    const bubble = find(button.getAttribute("popovertarget"));
    if (!bubble.showPopover) continue;
    bubble.addEventListener("toggle", () => place(button, bubble));
    button.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse" && !bubble.matches(":popover-open")) bubble.showPopover();
    });
    button.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && bubble.matches(":popover-open")) bubble.hidePopover();
    });
  }

  function place(button, bubble) {
    if (!bubble.matches(":popover-open")) return;
    const box = button.getBoundingClientRect(), size = bubble.getBoundingClientRect();
    const above = box.bottom + size.height + 8 > innerHeight;
    bubble.style.cssText = `margin:0;inset:auto;left:${Math.max(8, Math.min(box.left, innerWidth - size.width - 8))}px;top:${above ? Math.max(8, box.top - size.height - 6) : box.bottom + 6}px`;
  }

  const scale = find("scale").getContext("2d");
  for (let x = 0; x < 128; x++) {
    const colour = views.fieldColours[2 * x];
    scale.fillStyle = `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
    scale.fillRect(x, 0, 1, 10);
  }

  find("position").max = player.duration;
  find("play").disabled = true;
  try {
    await player.load(sources, (done, all) => (find("clock").textContent = `loading ${done} of ${all}`));
  } catch (error) {
    document.documentElement.classList.remove("scripted");
    document.querySelectorAll("#sounds audio").forEach((audio, i) => (audio.src = sources[i]));
    say("This browser cannot decode the sounds for switching; use the players instead.");
    find("clock").textContent = String(error);
    return;
  }
  find("play").disabled = false;
  views.ready();
  views.onrange();
  refresh();
  document.documentElement.dataset.ready = "true";
  window.report = { player, views, abx, opinion };
})();
