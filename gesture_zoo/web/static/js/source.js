// Where frames come from: the camera, or a video file. Both show themselves in the page's video element.

const REFUSED = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser, then press Camera again.",
  NotFoundError: "No camera was found. Connect one, or choose a video file.",
  NotReadableError: "The camera is in use by another program, or does not answer. Close that program and try again.",
  OverconstrainedError: "The camera offers no picture that this page can use. Choose another one, or a video file.",
};

// Playing that a pause interrupts is no failure.
const uninterrupted = (error) => {
  if (error.name !== "AbortError") throw error;
};

// Calls back with the time, in seconds, of every frame that the element shows, until it is cancelled.
class Frames {
  constructor(video, callback) {
    this.video = video;
    this.callback = callback;
    this.exact = "requestVideoFrameCallback" in video;
    this.shown = -1;
    this.#request();
  }

  cancel() {
    if (this.exact) this.video.cancelVideoFrameCallback(this.handle);
    else cancelAnimationFrame(this.handle);
  }

  #request() {
    const next = (now, metadata) => {
      this.#request();
      const time = metadata ? metadata.mediaTime : this.video.currentTime;
      // Without the exact callback the same frame is offered at every refresh of the screen.
      if (!this.exact && time === this.shown) return;
      this.shown = time;
      this.callback(now / 1000, time);
    };
    this.handle = this.exact ? this.video.requestVideoFrameCallback(next) : requestAnimationFrame((now) => next(now));
  }
}

// A live camera. Frames that come while the model is at work are dropped: the newest is what counts.
export class CameraSource {
  live = true;

  static async open(video, deviceId = null) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("A browser gives out the camera only on https or on localhost. Open the page there.");
    }
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, ...(deviceId ? { deviceId } : { facingMode: "user" }) };
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
      return new CameraSource(video, stream);
    } catch (error) {
      throw new Error(REFUSED[error.name] ?? `The camera cannot be used: ${error.message || error.name}`);
    }
  }

  static async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId);
  }

  constructor(video, stream) {
    this.video = video;
    this.stream = stream;
    [this.track] = stream.getVideoTracks();
    this.name = this.track.label || "Camera";
    const { deviceId, facingMode } = this.track.getSettings();
    this.deviceId = deviceId ?? "";
    this.mirrored = facingMode !== "environment"; // a camera that looks away from the user is no mirror
  }

  async start({ frame, ended, hidden, seen }) {
    this.video.srcObject = this.stream;
    this.track.onended = () => ended("The camera is gone.");
    // A hidden page shows no frames, and the camera does not wait.
    document.onvisibilitychange = () => (document.hidden ? hidden() : seen());
    let first = null;
    this.frames = new Frames(this.video, (now) => {
      first ??= now;
      frame(now - first);
    });
    await this.video.play().catch(uninterrupted);
  }

  wait() {} // a camera does not

  proceed() {}

  close() {
    this.frames?.cancel();
    this.track.onended = null;
    this.track.stop();
    // One that was allowed too late never got there; the video may be another's.
    if (this.video.srcObject !== this.stream) return;
    document.onvisibilitychange = null;
    this.video.srcObject = null;
  }
}

// A video file. It is played, not sought frame by frame: a seek decodes everything since the last key frame, which takes
// a second in many a phone's video. So that a slow model misses no frame, playing waits for it, and slows down.
export class FileSource {
  live = false;
  mirrored = false;

  static async open(video, file) {
    const source = new FileSource(video, file);
    const failed = () => new Error(`This browser cannot play “${file.name}”. MP4 (H.264) and WebM files work nearly everywhere.`);
    await new Promise((resolve, reject) => {
      video.onloadeddata = () => (video.videoWidth ? resolve() : reject(failed()));
      video.onerror = () => reject(failed());
      video.src = source.url;
    }).catch((error) => {
      source.close();
      throw error;
    });
    return source;
  }

  constructor(video, file) {
    this.video = video;
    this.file = file;
    this.name = file.name;
    this.url = URL.createObjectURL(file);
  }

  async start({ frame, ended }) {
    const { video } = this;
    this.waiting = false;
    video.onended = () => this.#over(ended, "ended");
    video.onerror = () => this.#over(ended, "damaged from here on");
    // A hidden page shows no frames: the video waits until it is seen again.
    document.onvisibilitychange = () => {
      if (document.hidden) video.pause();
      else if (!this.waiting) this.#play();
    };
    this.frames = new Frames(video, (_, time) => frame(time));
    video.currentTime = 0;
    video.playbackRate = 1;
    await this.#play();
  }

  // A frame that the model wants is there, but the model is at work.
  wait() {
    this.waiting = true;
    this.video.pause();
  }

  // The model answered after `seconds` and wants the next frame `step` seconds of video later (0: every frame).
  proceed(seconds, step) {
    const rate = Math.min(1, (0.8 * (step || 1 / 30)) / Math.max(seconds, 1e-3));
    this.video.playbackRate = Math.max(0.1, Math.round(rate * 20) / 20);
    const waited = this.waiting;
    this.waiting = false;
    if (waited && !document.hidden) this.#play();
  }

  #play() {
    return this.video.play().catch(uninterrupted);
  }

  #over(ended, text) {
    this.frames.cancel();
    document.onvisibilitychange = null;
    ended(text);
  }

  close() {
    this.frames?.cancel();
    const { video } = this;
    document.onvisibilitychange = null;
    Object.assign(video, { onended: null, onerror: null, onloadeddata: null });
    video.pause();
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(this.url);
  }
}
