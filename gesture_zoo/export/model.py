"""export_model: a file is written, and kept if it was seen to answer as the model does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from torch import nn
from tqdm import tqdm

from ..errors import GestureZooError, one_line
from ..runtime import ModelInfo, Runner, open_exported
from ..runtime.torch_runner import TorchRunner
from .check import Compared, clips_for, compare
from .formats import check_target, folder_beside, format_of, move_files
from .names import TOLERANCE
from .trace import Traced, trace


class ExportError(GestureZooError):
    """A file that does not answer as the model does; it was not written.

    >>> import gesture_zoo, tempfile
    >>> model = gesture_zoo.create_model("tsm_test_resnet", num_classes=2, num_segments=2)
    >>> target = Path(tempfile.mkdtemp()) / "clip.pt2"
    >>> try:
    ...     export_model(model, target, size=(32, 32), tolerance=-1)  # nothing is as good as that
    ... except ExportError:
    ...     target.exists()
    False
    """


class ExportReport(NamedTuple):
    """What ``export_model`` wrote and what it saw: one row for every clip it compared.

    >>> info = ModelInfo("tsm_resnet18", "clip", ("fist", "wave"), (3, 224, 224), (0.5,) * 3, (0.5,) * 3)
    >>> rows = Compared("random", 2e-6, 4e-7, True), Compared("rendered", 3e-6, 6e-7, True)
    >>> ExportReport(Path("clip.onnx"), "onnx", info, 44_700_000, rows, TOLERANCE).max_error
    6e-07
    """

    path: Path
    format: str
    info: ModelInfo
    size: int  # bytes, of all files
    compared: tuple[Compared, ...]
    tolerance: float

    @property
    def max_error(self) -> float:
        """The largest difference of a logit from PyTorch's, over the model's largest logit for that clip."""
        return max(row.relative for row in self.compared)


def export_model(
    model: nn.Module,
    path: str | Path,
    *,
    format: str | None = None,
    stream: bool = False,
    size: tuple[int, int] | None = None,
    clips: Iterable[str | Path] = (),
    tolerance: float = TOLERANCE,
    progress: bool = False,
) -> ExportReport:
    """Write ``model`` for inference to ``path``, once the file was seen to answer as the model does.

    ``format``: "onnx" (.onnx), "openvino" (.xml and .bin), "pt2" (.pt2, torch.export) or "executorch" (.pte); by
    default that of the path's suffix. The model goes in without decoders, BatchNorm folded, in float32, for frames of
    ``size`` (H, W), by default the model's own; the batch axis is free (one in ExecuTorch). Input "clip"
    (N, T, C, H, W), output "logits" (N, K); with ``stream`` the inputs are "frame" (N, C, H, W) and "state_...", the
    outputs "logits" and "next_...": states are zero at first, and each goes in again as it came out. A causal model
    ("_online") then computes one frame a step, another one its window of T frames. Labels, preprocessing, T, frame rate
    and version are inside (``gesture_zoo.runtime.ModelInfo``).

    The file is run on random clips, a rendered one and those in ``clips`` (videos or folders of frames); where a logit
    differs from PyTorch's by more than ``tolerance`` of the largest logit, that is an ExportError and no file is left.
    A model that cannot be traced is a ModelError; a format whose packages are missing a GestureZooError that names the
    extra.

    >>> import gesture_zoo, tempfile
    >>> model = gesture_zoo.create_model("tsm_test_resnet_online_msd", num_classes=5)
    >>> report = export_model(model, Path(tempfile.mkdtemp()) / "step.pt2", stream=True, size=(64, 64))
    >>> report.max_error < report.tolerance, report.info.states[0]
    (True, StateInfo(input='state_layer1_0_conv1_shifted', output='next_layer1_0_conv1_shifted', shape=(1, 4, 16, 16)))
    """
    path = Path(path)
    name, form = format_of(path, format)
    check_target(path)
    weights = path.with_suffix(".bin")
    if name == "openvino" and weights.exists() and not path.exists():
        raise GestureZooError(f"cannot write {path}: its weights would replace {weights}, which is another's")
    paths = [clips] if isinstance(clips, (str, Path)) else list(clips)
    with (
        # Beside the target, on the same disk: the files get their names when all of them were seen to be right.
        folder_beside(path) as folder,
        # To trace, to write, to compare on two clips of our own and on those of the caller.
        tqdm(total=4 + len(paths), desc="export", unit="step", disable=None if progress else True, leave=False) as bar,
    ):
        traced = trace(model, stream=stream, size=size, batch=1 if name == "executorch" else None)
        bar.update()
        file = folder / path.with_suffix(form.suffix).name
        try:
            form.write(traced, file)
            bar.update()
            compared = _compare(traced, open_exported(file), paths, one_by_one=name == "executorch", bar=bar)
        except RuntimeError as error:
            what = one_line(re.sub(r"\x1b\[[0-9;]*m", "", str(error)))[:300]  # torch's are in colours
            raise ExportError(f"{path} was not written: {name} does not take this model ({what})") from error
        worst = max(compared, key=lambda row: row.relative)
        if not worst.relative <= tolerance:
            raise ExportError(
                f"{path} was not written: on the clip {worst.clip!r} {form.runs_with} differs from PyTorch by "
                f"{worst.relative:.2g} of the largest logit, more than the tolerance {tolerance:g}"
            )
        files = move_files(folder, path)
    return ExportReport(files[-1], name, traced.info, sum(part.stat().st_size for part in files), compared, tolerance)


def _compare(
    traced: Traced, exported: Runner, paths: Iterable[str | Path], *, one_by_one: bool, bar: tqdm
) -> tuple[Compared, ...]:
    """Compare the file with the model on every clip; ``one_by_one`` where it takes no more at once."""
    model, rows = TorchRunner(traced.model), []
    for name, clips in clips_for(traced.model, traced.info.num_segments, paths):
        for clip in clips[:, None] if one_by_one else [clips]:
            rows.append(compare(name, model, exported, clip))
        bar.update()
    return tuple(rows)
