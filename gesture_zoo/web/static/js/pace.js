// Which frames of a source go to the model: as in gesture_zoo/live/recogniser.py, of every step the first.

// Takes frames at `rate` a second by their times, never by counting them; with a rate of null every frame.
export class Pace {
  // Frames of a camera come a little early and late: one that is this share of a step early belongs to the next step.
  // With less, a camera as fast as the model's rate would lose every tenth frame.
  static EARLY = 0.25;

  constructor(rate) {
    this.rate = rate;
    this.step = rate ? 1 / rate : 0;
    this.reset();
  }

  reset() {
    this.start = null;
    this.taken = -1;
  }

  isDue(time) {
    return !this.rate || this.#number(time) > this.taken;
  }

  // Says that the frame at `time` was taken; steps without a frame are not made up for.
  take(time) {
    this.start ??= time;
    this.taken = this.#number(time);
  }

  #number(time) {
    return Math.floor((time - (this.start ?? time)) * this.rate + Pace.EARLY);
  }
}
