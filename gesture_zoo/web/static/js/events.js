// From a classifier's answer to every frame to gesture events: gesture_zoo/live/events.py, step for step.
//
// That file explains the parameters; tests/test_web_events.py compares the two. Times are in seconds.

export class EventDetector {
  constructor(labels, parameters) {
    const { no_gesture: noGesture, smoothing, window, on, off, min_frames: minFrames, release } = parameters;
    this.labels = labels;
    this.gestures = labels.map((_, index) => index).filter((index) => !noGesture.includes(labels[index]));
    if (!this.gestures.length) throw new Error("All classes of this model mean “no gesture”: there is nothing to detect.");
    Object.assign(this, { smoothing, window, on, off, minFrames, release });
    Object.assign(this, { minDuration: parameters.min_duration, maxGap: parameters.max_gap });
    this.reset();
  }

  // Logits of one frame at a time in seconds -> the events that ended with it.
  update(logits, time) {
    if (!logits.every(Number.isFinite)) throw new Error("The model answered with something that is no number.");
    if (time < this.time) throw new Error(`Times must not go back: ${time} s came after ${this.time} s.`);
    const before = time - this.time > this.maxGap && Number.isFinite(this.time) ? this.flush() : [];
    this.time = time;
    this.#smooth(softmax(logits));
    return [...before, ...this.#follow(time)];
  }

  // The event that is on, ended with its last frame: what to do at the end of a stream.
  flush() {
    const ended = this.#ended();
    this.reset();
    return ended;
  }

  reset() {
    this.time = -Infinity;
    this.scores = new Float64Array(this.labels.length);
    this.best = []; // of the last frames, for "majority"
    this.started = false;
    this.streak = null; // consecutive frames in which the same class counted
    this.active = null; // the event that is on
    this.label = -1; // its class
    this.last = 0; // the time of its last frame so far
    this.below = 0; // consecutive frames with its score below `off`
  }

  #smooth(p) {
    if (this.smoothing === "majority") {
      this.best.push(argmax(p, p.keys()));
      if (this.best.length > this.window) this.best.shift();
      this.scores = new Float64Array(p.length);
      for (const index of this.best) this.scores[index] += 1;
      for (const index of p.keys()) this.scores[index] /= this.best.length;
    } else if (this.smoothing === "ema" && this.started) {
      const share = 2 / (this.window + 1);
      this.scores = this.scores.map((score, index) => share * p[index] + (1 - share) * score);
    } else {
      this.scores = p;
    }
    this.started = true;
  }

  #follow(time) {
    const streak = this.#counted(time);
    this.streak = streak;
    const starting = streak && streak.frames >= this.minFrames ? streak : null;
    let ended = [];
    if (this.active) {
      const score = this.scores[this.label];
      this.below = score < this.off ? this.below + 1 : 0;
      // A frame that counts for another gesture belongs to that one, so that events do not overlap.
      if (!this.below && (!streak || streak.label === this.label)) this.last = time;
      if (this.below >= this.release || (starting && starting.label !== this.label)) {
        ended = this.#ended();
        this.active = null;
      } else {
        this.active = { ...this.active, score: Math.max(this.active.score, score) };
      }
    }
    if (!this.active && starting) {
      const { label, score, start } = starting;
      this.active = { label: this.labels[label], score, start, end: null, detected: time };
      Object.assign(this, { label, last: time, below: 0 });
    }
    return ended;
  }

  #counted(time) {
    const label = argmax(this.scores, this.gestures);
    const score = this.scores[label];
    if (score < this.on) return null;
    const streak = this.streak;
    if (!streak || streak.label !== label) return { label, frames: 1, start: time, score };
    return { ...streak, frames: streak.frames + 1, score: Math.max(streak.score, score) };
  }

  #ended() {
    if (!this.active || this.last - this.active.start < this.minDuration) return [];
    return [{ ...this.active, end: this.last }];
  }
}

// In double precision, whatever the logits are in.
export function softmax(logits) {
  const values = Float64Array.from(logits);
  const highest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const p = values.map((value) => Math.exp(value - highest));
  const sum = p.reduce((a, b) => a + b, 0);
  return p.map((value) => value / sum);
}

// Of equally high values the first.
function argmax(values, indices) {
  let best = -1;
  for (const index of indices) if (best < 0 || values[index] > values[best]) best = index;
  return best;
}
