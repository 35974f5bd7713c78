"""Turns a trained model into the files that come with the package, and says how far they are from it.

    python benchmarks/pack_weights.py CHECKPOINT --clips FOLDER

CHECKPOINT is a folder that `gesture-zoo train` or `save_pretrained` wrote, of a model of the label set "rendered".
Written to gesture_zoo/rendered_weights/ (or --out): ARCHITECTURE.TAG.safetensors, half precision, with labels,
preprocessing, T and frame rate as metadata; for an online model also ARCHITECTURE.TAG.onnx, one step of its stream,
which the page of `gesture-zoo web` loads: exporting it there would take packages that a plain `pip install` does not
bring. It prints the difference of logits on random and rendered clips and those of --clips, and the row for
gesture_zoo/models/rendered.py.
"""

import argparse
import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

import gesture_zoo
from gesture_zoo.data.media import clips_under
from gesture_zoo.errors import WeightsError
from gesture_zoo.export.check import Compared, clips_for, compare
from gesture_zoo.files import replacing
from gesture_zoo.labels import label_names
from gesture_zoo.model_folder import load_safetensors
from gesture_zoo.packaged import FOLDER
from gesture_zoo.runtime import ModelInfo
from gesture_zoo.runtime.info import METADATA_KEY
from gesture_zoo.runtime.torch_runner import TorchRunner
from gesture_zoo.weights import load_portable, portable_state_dict

TARGET = Path(gesture_zoo.__file__).parent / FOLDER
TOLERANCE = 1e-2  # of the largest logit: half precision has a rounding error of 5e-4


class Packed(NamedTuple):
    """The files that were written, how far their answers are from the checkpoint's, and the row for the table."""

    weights: Path
    onnx: Path | None
    compared: tuple[Compared, ...]
    row: str


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with floats in half precision; one that is too large for it is a WeightsError.

    >>> halved({"weight": torch.ones(2), "count": torch.tensor(3)})["weight"].dtype
    torch.float16
    """
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    broken = [key for key, value in halves.items() if not torch.isfinite(value).all()]
    if broken:
        raise WeightsError(f"{broken[0]} has values that half precision cannot hold (65504 is its largest)")
    return {key: value.contiguous().clone() for key, value in halves.items()}


def table_row(info: ModelInfo, file: Path, tag: str) -> str:
    """The row of ``RENDERED_CFGS`` for a file of TSM."""
    backbone = info.architecture.removeprefix("tsm_")
    values = {
        "side": info.input_size[1],
        "num_segments": info.num_segments,
        "frame_rate": info.frame_rate,
        "mean": info.mean,
        "std": info.std,
        "interpolation": info.interpolation,
        "crop_pct": info.crop_pct,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    arguments = "".join(f"            {key}={value!r},\n" for key, value in values.items()).replace("'", '"')
    head = f'    "{backbone}": {{\n        "{tag}": rendered_cfg(\n            "{file.name}",\n'
    return f"{head}{arguments}        )\n    }},"


def pack(
    checkpoint: Path, folder: Path, *, tag: str = "rendered", clips: Sequence[Path] = (), onnx: bool = True
) -> Packed:
    """Write the packaged files of a checkpoint into ``folder`` and compare them with it.

    A model of other classes, without a frame rate, or that half precision changes by more than ``TOLERANCE`` of its
    largest logit is a WeightsError.
    """
    model: Any = gesture_zoo.create_model(f"local-dir:{checkpoint}", pretrained=True).eval()
    model = gesture_zoo.strip_msd(model) if isinstance(model, gesture_zoo.MSDModel) else model
    runner = TorchRunner(model)
    info = runner.info
    if info.labels != label_names("rendered"):
        raise WeightsError(f"{checkpoint} has other classes than the label set 'rendered', or these in another order")
    if not info.architecture.startswith("tsm_") or info.frame_rate is None or info.input_size[1] != info.input_size[2]:
        raise WeightsError(f"{checkpoint} must be a TSM for square frames that says its frame rate, not {info}")
    weights = folder / f"{info.architecture}.{tag}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(weights) as temporary:
        save_file(halved(portable_state_dict(model)), temporary, {"format": "pt", METADATA_KEY: info.to_json()})
    half = copy.deepcopy(model)
    load_portable(half, load_safetensors(weights), source=str(weights))
    given = clips_for(model, info.num_segments, clips)
    compared = tuple(compare(name, runner, TorchRunner(half), clip) for name, clip in given)
    worst = max(compared, key=lambda row: row.relative)
    if not worst.relative <= TOLERANCE:
        weights.unlink()
        raise WeightsError(f"half precision moves a logit on {worst.clip} by {worst.relative:.2g} of the largest one")
    steps = weights.with_suffix(".onnx") if onnx and info.kind == "stream" else None
    if steps is not None:
        gesture_zoo.export_model(half, steps, stream=True)
    return Packed(weights, steps, compared, table_row(info, weights, tag))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--tag", default="rendered", help="what follows the point in the model's name")
    parser.add_argument("--clips", type=Path, nargs="+", default=[], metavar="CLIP", help="videos or folders of them")
    parser.add_argument("--out", type=Path, default=TARGET, metavar="FOLDER", help="(default: that of the package)")
    parser.add_argument("--no-onnx", action="store_true", help="weights alone")
    args = parser.parse_args()
    clips = [clip for path in args.clips for clip in clips_under(path)]
    packed = pack(args.checkpoint, args.out, tag=args.tag, clips=clips, onnx=not args.no_onnx)
    for path in (packed.weights, packed.onnx):
        if path is not None:
            print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    worst = max(row.relative for row in packed.compared)
    same = sum(row.same_class for row in packed.compared)
    print(
        f"half precision against the checkpoint, on {len(packed.compared)} clips: differs by up to {worst:.1e} of the "
        f"largest logit ({max(row.error for row in packed.compared):.1e}), the same best class on {same}"
    )
    print(f"The row for gesture_zoo/models/rendered.py:\n{packed.row}")


if __name__ == "__main__":
    main()
