// The network: an ONNX Runtime session, and what it remembers between frames.

const VENDOR = new URL("../vendor/", import.meta.url);

// What can compute, the fastest first. Both are loaded late, so that only the one that is used is fetched.
const ENGINES = [
  { name: "WebGPU", provider: "webgpu", bundle: "ort.webgpu.bundle.min.mjs", isThere: hasGPU },
  { name: "WebAssembly", provider: "wasm", bundle: "ort.wasm.bundle.min.mjs", isThere: async () => true },
];

// A graphics card; one that is imitated by the processor, which is slower than WebAssembly, only where it is asked for.
async function hasGPU(asked) {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && (asked || !adapter.info?.isFallbackAdapter);
  } catch {
    return false;
  }
}

// How many threads WebAssembly may use: one, unless the page is isolated (COOP and COEP headers).
export function threads() {
  return globalThis.crossOriginIsolated ? Math.min(4, Math.max(1, navigator.hardwareConcurrency >> 1)) : 1;
}

export class Model {
  // `content` is the ONNX file, `info` its description; `only` names an engine to use, null takes the first that works.
  static async load(content, info, only = null) {
    const failures = [];
    for (const engine of ENGINES) {
      if ((only && engine.provider !== only) || !(await engine.isThere(Boolean(only)))) continue;
      try {
        const ort = await import(new URL(engine.bundle, VENDOR));
        ort.env.wasm.numThreads = threads();
        ort.env.logLevel = "error";
        const model = new Model(ort, await ort.InferenceSession.create(content, options(engine, info)), info, engine);
        // The first run compiles and reserves; whether an engine can run the model shows here.
        await model.step(new Float32Array(info.input_size.reduce((a, b) => a * b, 1)));
        model.reset();
        return model;
      } catch (error) {
        failures.push(`${engine.name}: ${error.message}`);
      }
    }
    throw new Error(failures.join("; ") || `This browser has no ${only}.`);
  }

  constructor(ort, session, info, engine) {
    this.ort = ort;
    this.session = session;
    this.info = info;
    const count = engine.provider === "wasm" ? threads() : 1;
    this.engine = count > 1 ? `${engine.name}, ${count} threads` : engine.name;
    this.reset();
  }

  reset() {
    for (const state of Object.values(this.states ?? {})) state.dispose();
    this.states = Object.fromEntries(this.info.states.map((state) => [state.input, this.#zeros(state.shape)]));
    this.window = null; // the last T frames, of a model of clips
  }

  // One more frame (C, H, W) -> logits (K).
  step(frame) {
    return this.info.kind === "stream" ? this.#stepStream(frame) : this.#stepClip(frame);
  }

  async #stepStream(frame) {
    const inputs = { frame: new this.ort.Tensor("float32", frame, [1, ...this.info.input_size]), ...this.states };
    const outputs = await this.session.run(inputs);
    for (const { input, output } of this.info.states) {
      this.states[input].dispose();
      this.states[input] = outputs[output];
    }
    return outputs.logits.data;
  }

  async #stepClip(frame) {
    const count = this.info.num_segments;
    const size = frame.length;
    if (this.window === null) {
      // The first frame stands for those before it.
      this.window = new Float32Array(count * size);
      for (let t = 0; t < count; t++) this.window.set(frame, t * size);
    } else {
      this.window.copyWithin(0, size);
      this.window.set(frame, (count - 1) * size);
    }
    const clip = new this.ort.Tensor("float32", this.window, [1, count, ...this.info.input_size]);
    return (await this.session.run({ clip })).logits.data;
  }

  #zeros(shape) {
    return new this.ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b, 1)), [1, ...shape]);
  }
}

function options({ provider }, info) {
  const chosen = { executionProviders: [provider], logSeverityLevel: 3 };
  if (provider === "webgpu") {
    // States stay on the graphics card; only the logits come back.
    const states = info.states.map(({ output }) => [output, "gpu-buffer"]);
    chosen.preferredOutputLocation = { ...Object.fromEntries(states), logits: "cpu" };
  }
  return chosen;
}
