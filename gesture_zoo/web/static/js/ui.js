// What the page shows. Knows nothing of models or cameras.

import { centreBox } from "./resize.js";

const ROWS = 5; // of scores, the highest first
const HOLD = 1200; // milliseconds that a gesture stays in the caption after its end
const KEPT = 500; // events in the list

const find = (id) => document.getElementById(id);
const percent = (score) => `${(100 * score).toFixed(0)} %`;

// "swiping_left" as a person would write it.
export const readable = (label) => label.replaceAll("_", " ");

// Seconds as minutes and seconds.
export function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

export class Page {
  constructor() {
    this.video = find("video");
    this.stage = find("stage");
    this.rows = [];
    this.count = 0;
    this.stage.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.stage.classList.add("drop");
    });
    this.stage.addEventListener("dragleave", () => this.stage.classList.remove("drop"));
    find("clear").onclick = () => this.clearEvents();
    new ResizeObserver(() => this.#place()).observe(this.stage);
    for (const name of ["loadedmetadata", "resize"]) this.video.addEventListener(name, () => this.#place());
  }

  // What happens when the user asks for something.
  connect({ camera, file, stop, again, thresholds }) {
    for (const name of ["on", "off"]) find(name).oninput = () => thresholds(this.#thresholds(name));
    const choose = (list) => list?.length && file(list[0]);
    find("camera").onclick = () => camera(null);
    find("devices").onchange = (event) => camera(event.target.value);
    find("choose").onclick = () => find("file").click();
    find("file").onchange = (event) => {
      choose(event.target.files);
      event.target.value = ""; // so that the same file can be chosen again
    };
    this.stage.addEventListener("drop", (event) => {
      event.preventDefault();
      this.stage.classList.remove("drop");
      if (!find("choose").disabled) choose(event.dataTransfer.files);
    });
    find("stop").onclick = stop;
    find("again").onclick = again;
  }

  set state(name) {
    document.body.dataset.state = name;
  }

  loading(share, text) {
    find("welcome-text").textContent = text;
    if (share === null) find("progress").removeAttribute("value");
    else find("progress").value = share;
  }

  describe(info) {
    this.info = info;
    document.title = `${info.file} – gesture_zoo`;
    find("model").textContent = `${info.file}: ${info.architecture}, ${info.labels.length} classes`;
    find("model").title = find("model").textContent;
  }

  ready(engine) {
    this.state = "ready";
    find("engine").textContent = engine;
    find("engine").hidden = false;
    find("progress").hidden = true;
    find("welcome-text").textContent = "Make a gesture";
    find("welcome-hint").hidden = false;
    find("camera").disabled = find("choose").disabled = false;
    this.#makeRows();
  }

  // A source begins; `mirrored` is for the display alone, as in a mirror: the model sees the frames as they are.
  running(name, { mirrored }) {
    this.state = "running";
    this.stage.classList.toggle("mirrored", mirrored);
    find("source").textContent = name;
    find("source").title = name;
    find("welcome").hidden = true;
    find("crop").hidden = find("caption").hidden = find("stop").hidden = false;
    find("again").hidden = true;
    this.#caption("", null, false);
  }

  stopped(text, { again, blank }) {
    this.state = "stopped";
    find("source").textContent = find("source").title = text;
    find("stop").hidden = true;
    find("again").hidden = !again;
    find("devices-label").hidden = true;
    find("welcome").hidden = !blank;
    find("crop").hidden = find("caption").hidden = blank;
    delete document.body.dataset.active;
  }

  problem(text) {
    find("problem").textContent = text ?? "";
    find("problem").hidden = !text;
  }

  // Nothing on this page can work.
  broken(text) {
    this.state = "broken";
    find("welcome-text").textContent = "This model cannot be used here";
    find("progress").hidden = true;
    this.problem(text);
  }

  cameras(devices, current) {
    find("devices-label").hidden = devices.length < 2;
    find("devices").replaceChildren(...devices.map(({ label, deviceId }, index) => {
      return new Option(label || `Camera ${index + 1}`, deviceId, false, deviceId === current);
    }));
  }

  // One frame's answer: smoothed scores (K), the event that is on or null.
  scores(scores, active) {
    const { labels, events } = this.info;
    const order = this.rows.length === labels.length ? [...labels.keys()]
      : [...labels.keys()].sort((a, b) => scores[b] - scores[a]);
    for (const [place, row] of this.rows.entries()) {
      const index = order[place];
      const gesture = !events.no_gesture.includes(labels[index]);
      row.name.textContent = row.name.title = readable(labels[index]);
      row.value.textContent = percent(scores[index]);
      row.fill.style.width = `${100 * scores[index]}%`;
      row.item.classList.toggle("counts", gesture && scores[index] >= events.on);
      row.threshold.hidden = !gesture;
    }
    const now = performance.now();
    if (active) {
      this.last = { label: active.label, until: now + HOLD };
      this.#caption(readable(active.label), active.score, true);
    } else if (this.last && now < this.last.until) {
      this.#caption(readable(this.last.label), null, false);
    } else {
      this.#caption("No gesture", null, false);
    }
  }

  speed({ fps, milliseconds, frames }) {
    find("fps").textContent = fps === null ? "–" : fps.toFixed(fps < 9.95 ? 1 : 0);
    find("milliseconds").textContent = milliseconds === null ? "–" : milliseconds.toFixed(milliseconds < 9.95 ? 1 : 0);
    find("frames").textContent = frames;
  }

  addEvent({ label, score, start, end }) {
    const item = document.createElement("li");
    Object.assign(item.dataset, { label, start, end, score });
    const times = part("span", "when", `${clock(start)} – ${clock(end)}`);
    times.title = `${start.toFixed(2)} s to ${end.toFixed(2)} s`;
    item.append(part("span", "name", readable(label)), part("span", "value", percent(score)), times);
    const list = find("events");
    list.prepend(item);
    while (list.children.length > KEPT) list.lastChild.remove();
    this.#counted(this.count + 1);
  }

  clearEvents() {
    find("events").replaceChildren();
    this.#counted(0);
  }

  // What the sliders say, in [0, 1]. The one that was moved takes the other along, since off is never above on.
  #thresholds(moved) {
    const { events } = this.info;
    events[moved] = find(moved).valueAsNumber / 100;
    if (moved === "on") events.off = Math.min(events.off, events.on);
    else events.on = Math.max(events.on, events.off);
    this.#showThresholds();
    return { on: events.on, off: events.off };
  }

  #showThresholds() {
    for (const name of ["on", "off"]) {
      find(name).value = Math.round(100 * this.info.events[name]);
      find(`${name}-value`).textContent = percent(this.info.events[name]);
    }
    for (const { threshold } of this.rows) threshold.style.left = `${100 * this.info.events.on}%`;
  }

  #counted(count) {
    this.count = count;
    find("count").textContent = count;
    find("clear").disabled = count === 0;
    find("no-events").hidden = count > 0;
  }

  #caption(label, score, active) {
    find("caption-label").textContent = label || "…";
    find("caption-score").textContent = score === null ? "" : percent(score);
    if (active) document.body.dataset.active = label;
    else delete document.body.dataset.active;
  }

  #makeRows() {
    const count = Math.min(this.info.labels.length, ROWS);
    this.rows = Array.from({ length: count }, () => {
      const item = document.createElement("li");
      const row = { item, name: part("span", "name"), value: part("span", "value"), fill: part("span", "fill") };
      row.threshold = part("span", "threshold");
      const track = part("span", "track");
      track.append(row.fill, row.threshold);
      item.append(row.name, row.value, track);
      return row;
    });
    find("scores").replaceChildren(...this.rows.map(({ item }) => item));
    this.#showThresholds();
    this.scores(new Float64Array(this.info.labels.length), null);
  }

  // Fits the picture into the stage, and the frame around what the model sees into the picture.
  #place() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width || !this.info) return;
    this.stage.style.setProperty("--ratio", `${width} / ${height}`);
    const room = this.stage.getBoundingClientRect();
    const scale = Math.min(room.width / width, room.height / height);
    const left = (room.width - width * scale) / 2;
    const top = (room.height - height * scale) / 2;
    const box = centreBox(height, width, this.info);
    position(this.video, left, top, width * scale, height * scale);
    position(find("crop"), left + box.left * scale, top + box.top * scale, box.width * scale, box.height * scale);
  }
}

function part(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

function position({ style }, left, top, width, height) {
  for (const [name, value] of Object.entries({ left, top, width, height })) style.setProperty(`--${name}`, `${value}px`);
}
