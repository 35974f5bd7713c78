"""Small datasets in the exact official layouts, quirks included: what the readers have to cope with.

Every clip is a grey picture whose left half has depth: a hand at half the range in the upper part, nearer below.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gesture_zoo.data import write_video

HEIGHT, WIDTH = 48, 64
# Depth under the library's convention, of the upper and the lower half of every frame.
FAR, NEAR = 0.25, 0.75


def color(frames: int, level: int = 100) -> np.ndarray:
    """RGB frames (T, H, W, 3) whose brightness says which frame it is: level + t."""
    levels = np.arange(frames, dtype=np.uint8) + level
    return np.broadcast_to(levels[:, None, None, None], (frames, HEIGHT, WIDTH, 3)).copy()


def depth(frames: int, *, near: int = 255, far: int = 0) -> np.ndarray:
    """Raw depth frames (T, H, W) of an encoding: FAR in the upper half, NEAR in the lower."""
    picture = np.empty((frames, HEIGHT, WIDTH), np.uint8)
    picture[:, : HEIGHT // 2] = round(far + FAR * (near - far))
    picture[:, HEIGHT // 2 :] = round(far + NEAR * (near - far))
    return picture


def save_frames(frames: np.ndarray, folder: Path, name: str = "{:06d}.jpg", first: int = 1) -> None:
    """Write frames as images that are numbered from ``first``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / name.format(number), **({"quality": 95} if "jpg" in name else {}))


def save_video(frames: np.ndarray, path: Path) -> None:
    """Write frames as a video; grey ones as grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, -1)
    write_video(frames, path, fps=10)


def write_egogesture(root: Path) -> Path:
    """Subjects 3 (train), 1 (val) and 2 (test); names in both cases, NaN rows, floats, and what is missing."""
    for subject, scene in ((3, 1), (3, 2), (1, 1), (2, 1)):
        frames = root / f"Subject{subject:02d}" / f"Scene{scene}"
        save_frames(color(12), frames / "Color" / "rgb1")
        save_frames(depth(12), frames / "Depth" / "depth1")
    (root / "Subject03" / ".DS_Store").write_text("x")
    labels = root / "labels-final-revised1"
    for folder, name, text in (
        ("subject03/Scene1", "Group1.csv", "7,1,3\n83,4.0,12.0\n"),  # a gesture of three frames; floats
        # Other cases, and rows without numbers.
        ("Subject03/scene2", "group1.csv", "1,2,9\r\n2,NaN,NaN\r\n3,NaN,7\r\n,,\r\n"),
        ("subject03/Scene1", "Group9.csv", "5,1,9\n"),  # a group without frames
        ("subject03/Scene6", "Group1.csv", "5,1,9\n"),  # a scene without frames
        ("subject01/Scene1", "Group1.csv", "12,1,12\n"),
        ("subject02/Scene1", "Group1.csv", "13,1,12\n"),
    ):
        # Where a file system tells cases apart, subject 3 has two folders.
        (labels / folder).mkdir(parents=True, exist_ok=True)
        (labels / folder / name).write_bytes(text.encode())
    (labels / "subject03" / "Scene1" / ".DS_Store").write_text("x")
    return root


def nvgesture_line(folder: str, label: int, color: str = "2:10", depth: str = "2:10") -> str:
    """A line of NVGesture's lists, with its space at the end."""
    windows = f"depth:sk_depth:{depth} color:sk_color:{color} duo_left:duo_left:1:9"
    return f"path:./Video_data/{folder} {windows} label:{label} \n"


def write_nvgesture(root: Path) -> Path:
    """Lists of both generations; a label that is not the folder's, two windows that differ, a pair that does."""
    for folder, frames in (("class_01/subject3_r0", 12), ("class_02/subject3_r1", 11)):
        clip = root / "Video_data" / folder
        save_video(color(12), clip / "sk_color.avi")
        save_video(color(12, level=50), clip / "sk_wrapped.avi")
        save_video(depth(frames), clip / "sk_depth.avi")
    first, second = nvgesture_line("class_01/subject3_r0", 1), nvgesture_line("class_02/subject3_r1", 2, "2:10", "3:11")
    name = "nvgesture_{}_correct_cvpr2016{}.lst"
    (root / name.format("train", "")).write_text(first + second)
    (root / name.format("train", "_v2")).write_text(first + nvgesture_line("class_02/subject3_r1", 25, "2:10", "3:11"))
    (root / name.format("test", "_v2")).write_text(first)
    return root


def write_isogd(root: Path) -> Path:
    """Pairs with far = brighter, shadow and border in the depth, lists with and without labels."""
    for split, number, frames in (("train", 1, 9), ("train", 2, 2), ("valid", 1, 9)):
        raw = depth(frames, near=0, far=255)
        raw[:, :, :16], raw[:, :, 48:] = 0, 255
        save_video(color(9), root / split / "001" / f"M_{number:05d}.avi")
        save_video(raw, root / split / "001" / f"K_{number:05d}.avi")
    (root / "train_list.txt").write_text(
        "train/001/M_00001.avi train/001/K_00001.avi 26\ntrain/001/M_00002.avi train/001/K_00002.avi 249\n"
    )
    (root / "valid_list.txt").write_text("valid/001/M_00001.avi valid/001/K_00001.avi\n")
    return root


def write_jester(root: Path) -> Path:
    """Frames in five digits, labels in words, a test list without them."""
    for clip in (34870, 9223, 7):
        save_frames(color(12), root / "20bn-jester-v1" / str(clip), "{:05d}.jpg")
    (root / "jester-v1-train.csv").write_text("34870;Drumming Fingers\n")
    (root / "jester-v1-validation.csv").write_text("9223;Swiping Left\n")
    (root / "jester-v1-test.csv").write_text("7\n")
    return root


def write_folder(root: Path) -> Path:
    """Videos and folders of frames in class folders, with depth of every kind and without."""
    for split in ("train", "val"):
        save_video(color(9), root / split / "fist" / "a.mp4")
        save_video(color(9), root / split / "wave" / "a.mp4")
        save_video(depth(9), root / split / "wave" / "a.depth.mkv")
        save_frames(color(9), root / split / "wave" / "b", "{:d}.jpg")
        millimetres = (3000 - 2700 * (depth(9) / 255)).round().astype(np.uint16)
        millimetres[:, :, :16] = 0
        save_frames(millimetres, root / split / "wave" / "b.depth", "{:d}.png")
    (root / "train" / ".DS_Store").write_text("x")
    (root / "train" / ".hidden").mkdir()
    return root


WRITERS = {
    "egogesture": write_egogesture,
    "folder": write_folder,
    "isogd": write_isogd,
    "jester": write_jester,
    "nvgesture": write_nvgesture,
}
