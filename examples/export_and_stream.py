"""A model as an ONNX file, and a program's own loop around ONNX Runtime: frames in, states round, gestures out.

python examples/export_and_stream.py                                     # untrained weights, rendered frames
python examples/export_and_stream.py --checkpoint runs/mine --video clip.mp4
"""

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

import gesture_zoo
from gesture_zoo.live import EventDetector, open_source
from gesture_zoo.runtime import ModelInfo, preprocess

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--checkpoint", type=Path, help="a folder that train or convert wrote, of an _online model")
parser.add_argument("--video", type=Path, help="a video (default: a rendered gesture)")
args = parser.parse_args()

name = f"local-dir:{args.checkpoint}" if args.checkpoint else "tsm_test_resnet_online"
model = gesture_zoo.create_model(name, **({} if args.checkpoint else {"num_classes": 12}))

with TemporaryDirectory() as folder:
    file = Path(folder) / "model.onnx"
    # A causal model streams: every step computes one frame. clips=[...] would compare it on clips of yours as well.
    report = gesture_zoo.export_model(model, file, stream=True)
    print(f"{report.size / 1e6:.1f} MB, at most {report.max_error:.0e} of the largest logit from PyTorch")

    # From here on nothing needs PyTorch: the file says what it wants, and states go in as they came out. That is all
    # that another language has to do; gesture_zoo.live.recognise does it for you.
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    described = session.get_modelmeta().custom_metadata_map["gesture_zoo"]
    wants = json.loads(described)
    states = {state["input"]: np.zeros((1, *state["shape"]), np.float32) for state in wants["states"]}
    outputs = [output.name for output in session.get_outputs()]

    rendered = gesture_zoo.create_dataset("synthetic", split="test", num_segments=16, size=wants["input_size"][1])
    clip = [(i / 10, frame.permute(1, 2, 0).numpy()) for i, frame in enumerate(rendered[0].frames)]
    detector, events, seen = EventDetector(wants["labels"]), [], []
    with open_source(args.video) if args.video else nullcontext(clip) as frames:
        for time, picture in frames:
            if wants["frame_rate"] and time * wants["frame_rate"] < len(seen) - 0.25:
                continue  # the model was trained on fewer frames a second
            frame = preprocess(picture, ModelInfo.from_json(described))  # crop, resize, (x / 255 - mean) / std
            answer = dict(zip(outputs, session.run(outputs, {"frame": frame, **states}), strict=True))
            states = {state["input"]: answer[state["output"]] for state in wants["states"]}
            events += detector.update(answer["logits"][0], time)
            seen.append(frame)
    events += detector.flush()

best = wants["labels"][int(answer["logits"][0].argmax())]
print(f"{len(seen)} frames, {len(events)} events, at the end most like: {best}")
for event in events:
    print(f"{event.label} ({100 * event.score:.0f} %) from {event.start:.1f} s to {event.end:.1f} s")
