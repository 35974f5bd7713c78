// A frame as the model takes it.

import { centreBox, normalise, resize } from "./resize.js";

// A crop of more pixels a side is first drawn smaller, so that a 4K camera costs no more than a small one.
const LARGEST = 720;

// Cuts the frame that an element shows to what the model sees: an ImageBitmap, which may go to another thread. Null where
// it shows none, as for a moment at the start of some cameras.
export async function grab(video, info) {
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  const box = centreBox(video.videoHeight, video.videoWidth, info);
  const shrink = Math.min(1, LARGEST / Math.max(box.width, box.height));
  const options = shrink < 1 && {
    resizeWidth: Math.round(box.width * shrink), resizeHeight: Math.round(box.height * shrink), resizeQuality: "high",
  };
  try {
    return await createImageBitmap(video, box.left, box.top, box.width, box.height, options || undefined);
  } catch (error) {
    if (error.name === "InvalidStateError") return null;
    throw error;
  }
}

export class Preprocessor {
  constructor(info) {
    this.info = info;
    this.canvas = new OffscreenCanvas(1, 1);
    // The pixels are read every time, so they should lie where the processor can read them.
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  // An ImageBitmap, which is used up -> the model's input (C, H, W).
  input(bitmap) {
    const { width, height } = bitmap;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = this.context.getImageData(0, 0, width, height);
    const [, rows, columns] = this.info.input_size;
    return normalise(resize(data, height, width, rows, columns, this.info.interpolation), this.info);
  }
}
