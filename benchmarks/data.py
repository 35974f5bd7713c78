"""How many clips a second one core reads: folders of JPEG frames, AVI pairs, shards, rendered clips.

    python benchmarks/data.py --isogd FOLDER --out benchmarks/results/data.md

Every way to read is timed beside the straightforward loop over PIL images (open every sampled frame, resize, crop,
stack; the same again for depth) in interleaved rounds on one thread; medians and ratios. The clips are rendered here at
320 x 240 and written in the layouts of EgoGesture (JPEG) and IsoGD (AVI); with --isogd, real AVI pairs are read too.
--parts synthetic rendered times what is made when asked for and reads nothing: hands of gesture_zoo.data, and people
of gesture_zoo.render with every effect of their looks, with one picture drawn per frame, and with none of the effects.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from common import origin, write
from PIL import Image

from gesture_zoo.data import create_dataset, create_transform, segment_indices, write_video
from gesture_zoo.data.media import Media, NumberedFrames
from gesture_zoo.data.prepare import prepare_dataset
from gesture_zoo.data.synthetic import render_clip
from gesture_zoo.render import LookRanges, RenderedClips, render_batches

T, SIDE, SHORT_SIDE = 8, 224, 256
CONFIG: dict[str, Any] = {"input_size": (3, SIDE, SIDE), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
FRAMES, CLIPS, HEIGHT, WIDTH = 40, 6, 240, 320
FILES, SYNTHETIC, RENDERED = PARTS = ("files", "synthetic", "rendered")
JPEG, SHARDS, JITTER = "folders of JPEG", "shards (JPEG, depth PNG)", "folders of JPEG, with the paper's colour jitter"
AVI = "AVI pairs, rendered"
Ways = dict[str, Callable[[int], Any]]


def write_clips(root: Path) -> None:
    """The same rendered clips in EgoGesture's layout (root/ego) and in IsoGD's (root/iso)."""
    lines = []
    for clip in range(CLIPS):
        rgb, depth = render_clip(clip, seed=clip, num_frames=FRAMES, size=(HEIGHT, WIDTH))
        grey = np.repeat((depth * 255).astype(np.uint8)[..., None], 3, -1)
        scene = root / "ego" / "Subject03" / "Scene1"
        for part, frames in (("Color/rgb", rgb), ("Depth/depth", grey[..., 0])):
            folder = scene / f"{part}{clip + 1}"
            folder.mkdir(parents=True)
            for number, frame in enumerate(frames, start=1):
                Image.fromarray(frame).save(folder / f"{number:06d}.jpg", quality=90)
        labels = root / "ego" / "labels-final-revised1" / "subject03" / "Scene1"
        labels.mkdir(parents=True, exist_ok=True)
        (labels / f"Group{clip + 1}.csv").write_text(f"{clip + 1},1,{FRAMES}\n")
        videos = root / "iso" / "train" / "001"
        videos.mkdir(parents=True, exist_ok=True)
        names = [f"{kind}_{clip + 1:05d}.avi" for kind in "MK"]
        write_video(rgb, videos / names[0], fps=10)
        write_video(255 - grey, videos / names[1], fps=10)
        lines.append(f"train/001/{names[0]} train/001/{names[1]} {clip + 1}\n")
    (root / "iso" / "train_list.txt").write_text("".join(lines))


def pictures(media: Media, indices: list[int]) -> list[Image.Image]:
    """Sampled frames as PIL images; of a video all frames are decoded, as loops in the field do."""
    if isinstance(media, NumberedFrames):
        return [Image.open(media.path / media.pattern.format(media.first + index)) for index in indices]
    with av.open(str(media.path)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    return [frames[index] for index in indices]


def pil_loop(dataset: Any, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The straightforward way to what ``dataset[index]`` yields, without colour jitter."""
    record = dataset.records[index]
    indices = segment_indices(dataset.length(index), T, random=True)
    parts = []
    left, top = (int(torch.randint(SHORT_SIDE - SIDE, ())) for _ in range(2))
    for media, mode in ((record.rgb, "RGB"), (record.depth, "L")):
        arrays = []
        for picture in pictures(media, indices):
            scale = SHORT_SIDE / min(picture.size)
            size = round(picture.width * scale), round(picture.height * scale)
            picture = picture.convert(mode).resize(size, Image.Resampling.BILINEAR)
            arrays.append(np.asarray(picture.crop((left, top, left + SIDE, top + SIDE))))
        parts.append(torch.from_numpy(np.stack(arrays)).float() / 255)
    mean, std = torch.tensor(CONFIG["mean"]), torch.tensor(CONFIG["std"])
    return ((parts[0] - mean) / std).permute(0, 3, 1, 2), parts[1][:, None]


def endless(stream: Any) -> Iterator[Any]:
    """A stream again and again."""
    while True:
        yield from stream


def stages(dataset: Any, rounds: int) -> dict[str, float]:
    """Milliseconds of a clip by stage, medians."""
    times: dict[str, list[float]] = {}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = action()
        times.setdefault(name, []).append(1000 * (time.perf_counter() - started))
        return result

    plain, jitter = (create_transform(CONFIG, is_training=True) for _ in range(2))
    plain.jitter.p, jitter.jitter.p = 0.0, 1.0
    for turn in range(rounds):
        index = turn % len(dataset)
        record = dataset.records[index]
        indices = segment_indices(dataset.length(index), T, random=True)
        timed("open and decode RGB", lambda: record.rgb.read(indices))  # noqa: B023
        raw = timed("open and decode depth", lambda: record.depth.read(indices, gray=True))  # noqa: B023
        timed("depth to [0, 1] and validity", lambda: dataset.decode_depth(raw))  # noqa: B023
        sample = dataset.read(record, [indices])
        bare = sample._replace(depth=None, valid=None)
        timed("crop, resize, normalise RGB", lambda: plain(bare))  # noqa: B023
        timed("the same for RGB, depth and validity", lambda: plain(sample))  # noqa: B023
        timed("colour jitter (of 40 % of clips)", lambda: jitter.jitter(sample.frames[..., :SIDE, :SIDE]))  # noqa: B023
    return {name: statistics.median(values) for name, values in times.items()}


def measure(ways: Ways, rounds: int, clips: int) -> dict[str, list[float]]:
    """Clips per second of every way, round by round, interleaved."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, rounds):  # one round to warm up
        for name, way in ways.items():
            started = time.perf_counter()
            for index in range(clips):
                way(index)
            if turn >= 0:
                rates[name].append(clips / (time.perf_counter() - started))
    return rates


def without_jitter(dataset: Any) -> Any:
    """The dataset with the training transform, colour jitter off: the loop has none."""
    dataset.transform = create_transform(CONFIG, is_training=True)
    dataset.transform.jitter.p = 0.0
    return dataset


def one_by_one(batches: Iterator[RenderedClips]) -> Iterator[torch.Tensor]:
    """The clips of batches."""
    for batch in batches:
        yield from batch.frames


def file_ways(root: Path, isogd: Path | None) -> tuple[Ways, dict[str, Any]]:
    """What reads the files under ``root`` and the real ones, and the datasets whose stages are timed."""
    options: dict[str, Any] = {"num_segments": T, "random_segments": True}
    ego = without_jitter(create_dataset("egogesture", root / "ego", **options))
    iso = without_jitter(create_dataset("isogd", root / "iso", **options))
    prepare_dataset("egogesture", root / "ego", root / "shards", splits=["train"])
    shards = endless(without_jitter(create_dataset("shards", root / "shards", **options)))
    paper = create_dataset("egogesture", root / "ego", **options, transform=create_transform(CONFIG, is_training=True))
    ways: Ways = {
        JPEG: lambda i: ego[i % len(ego)],
        f"{JPEG}, PIL loop": lambda i: pil_loop(ego, i % len(ego)),
        JITTER: lambda i: paper[i % len(paper)],
        SHARDS: lambda i: next(shards),
        AVI: lambda i: iso[i % len(iso)],
        f"{AVI}, PIL loop": lambda i: pil_loop(iso, i % len(iso)),
    }
    if isogd:
        real = without_jitter(create_dataset("isogd", isogd, **options))
        ways["AVI pairs, IsoGD"] = lambda i: real[i % len(real)]
        ways["AVI pairs, IsoGD, PIL loop"] = lambda i: pil_loop(real, i % len(real))
    return ways, {JPEG: ego, AVI: iso}


def synthetic_ways() -> Ways:
    """Synthetic clips, made when asked for."""
    ways: Ways = {}
    for size in (64, 112, 224):
        data = create_dataset("synthetic", num_segments=T, size=size)
        ways[f"synthetic, rendered at {size} px"] = lambda i, data=data: data[i]
    return ways


def rendered_ways(clips: int) -> Ways:
    """Rendered people: the first clip of a round renders all ``clips`` of it as one batch."""
    looks = {"": LookRanges(), ", one sample": LookRanges(samples=1), ", plain looks": LookRanges.plain()}
    ways: Ways = {}
    for size in (112, 128):
        for name, ranges in looks.items():
            stream = one_by_one(render_batches(0, batch=clips, num_frames=T, size=size, ranges=ranges))
            ways[f"rendered people at {size} px{name}"] = lambda i, stream=stream: next(stream)
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to time (default: all)")
    parser.add_argument("--isogd", type=Path, help="folder of real IsoGD clips, with train_list.txt")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clips", type=int, default=12, help="clips a round")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        write(run(Path(folder), args), args.out)


def run(root: Path, args: argparse.Namespace) -> str:
    ways: Ways = {}
    datasets: dict[str, Any] = {}
    notes = []
    if FILES in args.parts:
        write_clips(root)
        ways, datasets = file_ways(root, args.isogd)
        notes += [
            f"Clips of {T} random frames with depth, from {WIDTH} x {HEIGHT}, cropped to {SIDE} x {SIDE}, normalised;",
            f"those rendered for this have {FRAMES} frames. Files in the page cache.",
        ]
    if SYNTHETIC in args.parts:
        ways |= synthetic_ways()
    if RENDERED in args.parts:
        ways |= rendered_ways(args.clips)
        notes += [
            f"Rendered people: clips of {T} frames with depth, a round's {args.clips} at once, {LookRanges().samples}",
            "pictures drawn per frame unless it says one sample; plain looks have no effects.",
        ]
    rates = measure(ways, args.rounds, args.clips)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    loops = {name: f"{name}, PIL loop" for name in ways if f"{name}, PIL loop" in ways}
    loops |= dict.fromkeys((SHARDS, JITTER), f"{JPEG}, PIL loop")
    lines = [
        f"{origin()}PyAV {av.__version__}.",
        "",
        *notes,
        f"Medians over {args.rounds} rounds, interleaved, of {args.clips} clips; in brackets the slowest and fastest",
        "round.",
        "",
        "| source | clips/s of one core | beside the PIL loop |",
        "|---|---|---|",
    ]
    for name, rate in medians.items():
        ratio = f"{rate / medians[loops[name]]:.2f}" if name in loops else ""
        lines.append(f"| {name} | {rate:.1f} ({min(rates[name]):.1f} to {max(rates[name]):.1f}) | {ratio} |")
    for name, dataset in datasets.items():
        lines += ["", f"Where the time of a clip goes, {name}:", "", "| stage | ms |", "|---|---|"]
        lines += [f"| {stage} | {value:.2f} |" for stage, value in stages(dataset, 4 * args.rounds).items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
