// The page: a source gives frames, the recogniser scores, the detector events; the rest is showing them.

import { EventDetector } from "./events.js";
import { Pace } from "./pace.js";
import { Recogniser } from "./recogniser.js";
import { CameraSource, FileSource } from "./source.js";
import { Page } from "./ui.js";

const SPEED_OVER = 2000; // milliseconds that the shown frames a second are counted over

class App {
  constructor() {
    this.page = new Page();
    this.source = null;
    this.working = Promise.resolve();
    this.opening = 0;
  }

  async load() {
    this.info = await (await get("model.json")).json();
    this.page.describe(this.info);
    const content = await download("model.onnx", this.info.bytes, (share) => this.page.loading(share, "Loading the model…"));
    this.page.loading(null, "Preparing the model…");
    this.recogniser = new Recogniser(this.info);
    // ?engine=wasm in the address keeps to the processor.
    const only = new URLSearchParams(location.search).get("engine");
    const { engine } = await this.recogniser.load(content, only);
    this.detector = new EventDetector(this.info.labels, this.info.events);
    this.pace = new Pace(this.info.frame_rate);
    this.page.connect({
      camera: (deviceId) => this.open(() => CameraSource.open(this.page.video, deviceId)),
      file: (file) => this.open(() => FileSource.open(this.page.video, file)),
      stop: () => this.close("", { blank: true }),
      again: () => this.begin(),
      thresholds: (values) => Object.assign(this.detector, values),
    });
    this.page.ready(engine);
  }

  async open(make) {
    const turn = ++this.opening; // of several quick clicks the last one counts
    await this.close("", { blank: true });
    this.page.problem(null);
    try {
      const source = await make();
      if (turn !== this.opening) return source.close();
      this.source = source;
      await this.begin();
      if (source.live) this.page.cameras(await CameraSource.list(), source.deviceId);
    } catch (error) {
      if (turn === this.opening) this.fail(error);
    }
  }

  // Starts the source that is open, from its beginning.
  async begin() {
    const { source } = this;
    await this.working;
    await this.recogniser.reset();
    if (source !== this.source) return; // closed meanwhile
    this.detector.reset();
    this.pace.reset();
    Object.assign(this, { running: true, unseen: false, busy: false, late: null, frames: 0, times: [], costs: [] });
    this.page.running(source.name, { mirrored: source.mirrored });
    await source.start({
      frame: (time) => this.frame(time),
      ended: (text) => this.end(text),
      hidden: () => this.hide(),
      seen: () => this.goOn(),
    });
  }

  // While the page is hidden a camera goes on unseen: what was going on is over, ...
  async hide() {
    const { source } = this;
    this.unseen = true;
    await this.working;
    if (!this.running || source !== this.source) return;
    for (const event of this.detector.flush()) this.page.addEvent(event);
  }

  // ... and what comes later is new.
  async goOn() {
    const { source } = this;
    await this.working;
    await this.recogniser.reset();
    if (!this.running || source !== this.source || document.hidden) return;
    this.detector.reset();
    this.pace.reset();
    this.unseen = false;
  }

  frame(time) {
    if (!this.running || this.unseen || !this.pace.isDue(time)) return;
    if (!this.busy) this.working = this.work(time);
    else if (!this.source.live) {
      this.late = time;
      this.source.wait();
    }
  }

  async work(time) {
    const { source } = this;
    this.busy = true;
    try {
      for (let next = time; next !== null && source === this.source; ) {
        const started = performance.now();
        this.late = null;
        this.pace.take(next);
        const logits = await this.recogniser.step(this.page.video);
        if (source !== this.source) return;
        if (logits !== null) this.show(logits, next, performance.now() - started);
        next = this.late;
      }
      if (this.running) source.proceed(mean(this.costs) / 1000, this.pace.step);
    } catch (error) {
      if (source === this.source) this.fail(error);
    } finally {
      this.busy = false;
    }
  }

  show(logits, time, cost) {
    for (const event of this.detector.update(logits, time)) this.page.addEvent(event);
    const now = performance.now();
    this.frames += 1;
    this.times.push(now);
    while (this.times.length > 2 && now - this.times[0] > SPEED_OVER) this.times.shift();
    this.costs = [...this.costs, cost].slice(-10);
    const span = now - this.times[0];
    this.page.scores(this.detector.scores, this.detector.active);
    this.page.speed({
      fps: span > 0 ? (1000 * (this.times.length - 1)) / span : null, milliseconds: mean(this.costs), frames: this.frames,
    });
  }

  // The source is over: a file keeps its last picture, and can be played again.
  async end(text) {
    if (!this.running) return;
    this.running = false;
    await this.working;
    for (const event of this.detector.flush()) this.page.addEvent(event);
    if (this.source?.live) await this.close(text, { blank: true });
    else if (this.source) this.page.stopped(`${this.source.name}: ${text}`, { again: true, blank: false });
  }

  async close(text, { blank }) {
    const { source } = this;
    if (!source) return;
    this.running = false;
    this.source = null;
    source.close();
    await this.working;
    for (const event of this.detector.flush()) this.page.addEvent(event);
    this.page.stopped(text, { again: false, blank });
  }

  async fail(error) {
    this.working = Promise.resolve();
    await this.close("", { blank: true });
    this.page.problem(error.message);
  }
}

async function get(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is missing on the server (${response.status}).`);
  return response;
}

// The bytes of a file, and on the way the share of it that is there.
async function download(name, size, progress) {
  const { body } = await get(name);
  const reader = body.getReader();
  const chunks = [];
  let received = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    received += part.value.length;
    progress(Math.min(1, received / size));
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

const app = new App();
app.load().catch((error) => app.page.broken(error.message));
