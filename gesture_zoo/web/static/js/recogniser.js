// The page's side of the worker: a model that answers frames.

import { grab } from "./preprocess.js";

export class Recogniser {
  constructor(info) {
    this.info = info;
    this.waiting = new Map();
    this.count = 0;
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    };
    this.worker.onerror = (event) => {
      const failure = new Error(event.message || "the page's worker could not be started");
      for (const { reject } of this.waiting.values()) reject(failure);
      this.waiting.clear();
    };
  }

  // The ONNX file's bytes, which are used up -> {engine}, what computes.
  load(content, only) {
    return this.#ask("load", { content, info: this.info, only }, [content.buffer]);
  }

  // The frame that a video element shows -> its logits; null where it shows none.
  async step(video) {
    const bitmap = await grab(video, this.info);
    return bitmap && this.#ask("step", { bitmap }, [bitmap]);
  }

  // Forgets the frames before.
  reset() {
    return this.#ask("reset", {}, []);
  }

  #ask(what, content, transfer) {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, what, ...content }, transfer);
    });
  }
}
