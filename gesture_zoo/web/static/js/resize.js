// The zoo's test transform in plain numbers: gesture_zoo/runtime/preprocess.py, which resizes by Pillow.
//
// Pillow's filters widen when a picture is made smaller, which a canvas' do not promise; tests/test_web_pixels.py
// compares the two.

const FILTERS = {
  bilinear: { radius: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { radius: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos: { radius: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function cubic(x) {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

// Halves go to the even neighbour, as Python's round() has it.
export function roundHalfEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

// The part of a picture that the model sees, in pixels.
export function centreBox(height, width, info) {
  const [, rows, columns] = info.input_size;
  const unit = Math.min(height / rows, width / columns) * info.crop_pct;
  const high = Math.max(1, roundHalfEven(rows * unit));
  const wide = Math.max(1, roundHalfEven(columns * unit));
  return {
    left: roundHalfEven((width - wide) * 0.5),
    top: roundHalfEven((height - high) * 0.5),
    width: wide,
    height: high,
  };
}

// For every pixel of a line of `to`, where its part of a line of `from` begins, and the weights of that part.
function taps(from, to, interpolation) {
  const scale = from / to;
  if (interpolation === "nearest") {
    let place = 0.5 * scale; // added up as Pillow does: where a pixel ends exactly there, the rounding decides
    return Array.from({ length: to }, () => {
      const start = Math.min(from - 1, Math.floor(place));
      place += scale;
      return { start, weights: [1] };
    });
  }
  const { radius, weight } = FILTERS[interpolation];
  const stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - radius * stretch + 0.5));
    const end = Math.min(from, Math.floor(centre + radius * stretch + 0.5));
    const raw = Array.from({ length: end - start }, (_, k) => weight((start + k - centre + 0.5) / stretch));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { start, weights: raw.map((value) => value / sum) };
  });
}

// One pass along lines: `count` lines whose pixels are `pixel` bytes apart and which are `line` bytes apart.
function pass(source, target, tap, { count, sourceLine, sourcePixel, targetLine, targetPixel }) {
  for (let i = 0; i < tap.length; i++) {
    const { start, weights } = tap[i];
    for (let j = 0; j < count; j++) {
      let at = j * sourceLine + start * sourcePixel;
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let k = 0; k < weights.length; k++, at += sourcePixel) {
        red += weights[k] * source[at];
        green += weights[k] * source[at + 1];
        blue += weights[k] * source[at + 2];
      }
      const out = j * targetLine + i * targetPixel;
      // Halves go up, as in Pillow; a clamped array would send them to the even neighbour.
      target[out] = Math.floor(red + 0.5);
      target[out + 1] = Math.floor(green + 0.5);
      target[out + 2] = Math.floor(blue + 0.5);
    }
  }
}

// RGBA bytes of (height, width) -> RGBA bytes of (rows, columns); alpha is left at zero.
export function resize(rgba, height, width, rows, columns, interpolation) {
  const half = new Uint8ClampedArray(height * columns * 4);
  pass(rgba, half, taps(width, columns, interpolation), {
    count: height, sourceLine: width * 4, sourcePixel: 4, targetLine: columns * 4, targetPixel: 4,
  });
  const whole = new Uint8ClampedArray(rows * columns * 4);
  pass(half, whole, taps(height, rows, interpolation), {
    count: columns, sourceLine: 4, sourcePixel: columns * 4, targetLine: 4, targetPixel: columns * 4,
  });
  return whole;
}

// RGBA bytes of the model's size -> its input (C, H, W): from 0 to 1, less the mean, over the deviation.
export function normalise(rgba, info) {
  const pixels = rgba.length / 4;
  const output = new Float32Array(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    const mean = info.mean[channel];
    const std = info.std[channel];
    for (let i = 0; i < pixels; i++) output[channel * pixels + i] = (rgba[4 * i + channel] / 255 - mean) / std;
  }
  return output;
}
