"""What the tests of live use share: a model whose answer is known, frames, streams over HTTP, an OpenCV of our own."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
from PIL import Image

from gesture_zoo.live.source import Frame
from gesture_zoo.runtime import ModelInfo, Runner
from gesture_zoo.runtime.info import METADATA_KEY

SIDE = 32
LABELS = ("flash", "nothing")
SHARPNESS = 9.0


def brightness_info(kind: str = "stream", **changes: Any) -> ModelInfo:
    """A model of two classes: frames are bright, a gesture, or dark, none."""
    fields: dict[str, Any] = {
        "input_size": (3, SIDE, SIDE),
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "num_segments": 4,
        "crop_pct": 1.0,
    }
    return ModelInfo("brightness", kind, LABELS, **(fields | changes))


class Brightness(Runner):
    """That model in Python; it remembers what it was given."""

    def __init__(self, kind: str = "stream", **changes: Any) -> None:
        super().__init__(brightness_info(kind, **changes))
        self.given: list[np.ndarray] = []

    def advance(self, frame: np.ndarray) -> np.ndarray:
        self.given.append(frame)
        mean = SHARPNESS * frame.mean()
        return np.array([[mean, -mean]], np.float32)

    def run_clip(self, clip: np.ndarray) -> np.ndarray:
        return self.advance(clip)


def write_brightness(path: Path, kind: str = "stream", **changes: Any) -> Path:
    """The same as an ONNX file."""
    import onnx
    from onnx import TensorProto, helper

    info = brightness_info(kind, **changes)
    shape = ["N", 3, SIDE, SIDE] if kind == "stream" else ["N", info.num_segments, 3, SIDE, SIDE]
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1, 2], [SHARPNESS, -SHARPNESS])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", [info.input_name], ["mean"], axes=list(range(1, len(shape))), keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
            helper.make_node("MatMul", ["column", "weights"], ["logits"]),
        ],
        "brightness",
        [helper.make_tensor_value_info(info.input_name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [weights, helper.make_tensor("one", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save(model, path)
    return path


def frame(bright: bool, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A bright or a dark frame."""
    return np.full((*size, 3), 230 if bright else 20, np.uint8)


def flashes(count: int, *bright: range, rate: float = 10.0) -> list[Frame]:
    """``count`` frames with their times, bright in these ranges."""
    return [(i / rate, frame(any(i in part for part in bright))) for i in range(count)]


def jpeg(rgb: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "jpeg")
    return file.getvalue()


def mpegts(frames: list[np.ndarray], rate: int) -> bytes:
    """Frames as an MPEG transport stream, each decodable once its bytes are there."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


@contextmanager
def camera_server(
    frames: list[np.ndarray], *, rate: int = 50, kind: str = "mjpeg", endless: bool = False, silence: float = 0.0
) -> Iterator[str]:
    """A network camera on the loopback, which breaks its connection off after the last frame; its URL.

    ``endless``: it goes round and round instead. ``silence``: seconds that it says nothing before it breaks off.
    """

    class Camera(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def parts(self) -> Iterator[bytes]:
            if kind == "mpegts":
                data = mpegts(frames, rate)
                step = -(-len(data) // len(frames))
                yield from (data[i : i + step] for i in range(0, len(data), step))
                return
            head = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
            pictures = [jpeg(rgb) for rgb in frames]
            while not ended.is_set():
                for data in pictures:
                    yield head.format(len(data)).encode() + data + b"\r\n"
                if not endless:
                    return

        def do_GET(self) -> None:
            self.send_response(200)
            mime = "video/mp2t" if kind == "mpegts" else "multipart/x-mixed-replace; boundary=frame"
            self.send_header("Content-Type", mime)
            self.end_headers()
            try:
                for part in self.parts():
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(1 / rate)
                ended.wait(silence)
                # No goodbye: the other end sees a connection that was reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            except OSError:
                pass

    ended = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/camera"
        finally:
            ended.set()
            server.shutdown()
            thread.join()


class FakeCv2(ModuleType):
    """As much of OpenCV as is used: a camera of given frames, and a window that remembers what it showed."""

    CAP_PROP_BUFFERSIZE = WINDOW_NORMAL = WINDOW_KEEPRATIO = WINDOW_GUI_NORMAL = WND_PROP_VISIBLE = 0

    class error(Exception):
        pass

    def __init__(self, frames: list[np.ndarray] | None = None, *, keys: dict[int, str] | None = None) -> None:
        super().__init__("cv2")
        self.camera_frames = frames
        self.keys = keys or {}  # number of shown frames -> key that the user then presses
        self.shown: list[np.ndarray] = []
        self.released = 0
        self.windows: set[str] = set()

    def VideoCapture(self, index: int) -> Any:
        fake = self
        left = list(fake.camera_frames or [])

        class Capture:
            def isOpened(self) -> bool:
                return fake.camera_frames is not None

            def set(self, name: int, value: float) -> bool:
                return False

            def read(self) -> tuple[bool, np.ndarray | None]:
                time.sleep(0.005)
                return (True, left.pop(0)) if left else (False, None)

            def release(self) -> None:
                fake.released += 1

        return Capture()

    def namedWindow(self, title: str, flags: int) -> None:
        self.windows.add(title)

    def resizeWindow(self, title: str, width: int, height: int) -> None:
        pass

    def imshow(self, title: str, bgr: np.ndarray) -> None:
        assert title in self.windows
        self.shown.append(bgr)

    def waitKey(self, milliseconds: int) -> int:
        return ord(self.keys[len(self.shown)]) if len(self.shown) in self.keys else -1

    def getWindowProperty(self, title: str, name: int) -> float:
        return float(title in self.windows)

    def destroyAllWindows(self) -> None:
        self.windows.clear()
