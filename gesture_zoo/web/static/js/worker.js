// The thread that computes, so that the page stays smooth however large the model is.
//
// Takes messages {id, what, ...} and answers each with {id, value} or {id, error}.

import { Model } from "./model.js";
import { Preprocessor } from "./preprocess.js";

let model = null;
let preprocessor = null;

const ANSWERS = {
  async load({ content, info, only }) {
    model = await Model.load(content, info, only);
    preprocessor = new Preprocessor(info);
    return { engine: model.engine };
  },

  async step({ bitmap }) {
    return Float32Array.from(await model.step(preprocessor.input(bitmap)));
  },

  async reset() {
    model.reset();
  },
};

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ id: data.id, value: await ANSWERS[data.what](data) });
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message || String(error) });
  }
};
