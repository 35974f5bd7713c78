"""A saved model is a folder: its weights as safetensors, its configuration and its card."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .errors import WeightsError, one_line
from .files import replacing, user_path

_logger = logging.getLogger(__name__)

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.json"
CARD_NAME = "README.md"
CHECKPOINT_NAME = "checkpoint.safetensors"  # beside them in the folder of a run: what training goes on from
# The end of a card that may be replaced by a newer one; without it, it is somebody's own.
CARD_MARK = "<!-- Written by gesture_zoo; take this line out, and the next version of the model keeps your text. -->"
HERE = "local-dir:THIS_FOLDER"  # the name, in the card of a folder, of the model beside it

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".tar")
CONVERT = "official checkpoints are read by gesture_zoo.convert_official, through torch.load(weights_only=True)"

_READ_ERRORS = (SafetensorError, OSError, ValueError, KeyError, RuntimeError, AttributeError)
_SAVE_ERRORS = (SafetensorError, OSError, TypeError, ValueError, KeyError, RuntimeError)


def load_safetensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; one that is missing, damaged or of another kind is a WeightsError.

    >>> import tempfile, torch
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_file({"bias": torch.zeros(3)}, path)
    >>> load_safetensors(path)
    {'bias': tensor([0., 0., 0.])}
    """
    path = user_path(path)
    if path.name.lower().endswith(PICKLE_SUFFIXES):
        raise WeightsError(one_line(f"{path} is refused as weights: expected a .safetensors file ({CONVERT})"))
    if not os.path.isfile(path):
        raise WeightsError(one_line(f"{path} is not a file: expected a safetensors file of weights"))
    try:
        return load_file(path)
    except _READ_ERRORS as error:
        raise WeightsError(
            one_line(
                f"{path} cannot be read as safetensors ({error}): the file is damaged, cut short or of another"
                " format; fetch or save it again"
            )
        ) from error


def read_config(path: str | Path) -> dict[str, Any]:
    """The JSON object in a configuration file; one that is missing or holds none is a WeightsError.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "config.json"
    >>> path.write_text('{"architecture": "tsm_resnet18"}')
    32
    >>> read_config(path)["architecture"]
    'tsm_resnet18'
    """
    path = Path(path)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        # JSON can hold halves of characters, which are no text to any file system or terminal.
        json.dumps(config, ensure_ascii=False).encode()
    except FileNotFoundError as error:
        where = one_line(f"{path.parent} holds no model, it has no {path.name}")
        raise WeightsError(f"{where}: expected a folder that train, convert or save_pretrained wrote") from error
    except OSError as error:
        raise WeightsError(one_line(f"{path} cannot be read ({error.strerror}): expected a JSON file")) from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(one_line(f"{path} is not valid JSON ({error}): expected a JSON object")) from error
    if not isinstance(config, dict):
        raise WeightsError(one_line(f"{path} holds a JSON {type(config).__name__}: expected a JSON object"))
    return config


def save_safetensors_dir(
    directory: str | Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: str
) -> None:
    """Write model.safetensors, config.json and README.md into a directory, each whole or not at all.

    A README.md that is there and does not end with ``CARD_MARK`` is somebody's own, and stays.

    All three are written beside their final names first and moved there last (weights, configuration, card), so that an
    error on the way leaves what was there before. Tensors that share memory are stored apart. A tensor or configuration
    that cannot be stored, or a directory that cannot be written to, is a WeightsError.

    >>> import tempfile, torch
    >>> directory = tempfile.mkdtemp()
    >>> save_safetensors_dir(directory, {"bias": torch.zeros(3)}, {"num_classes": 3}, "# A model")
    >>> load_safetensors(f"{directory}/model.safetensors")["bias"].shape
    torch.Size([3])
    """
    directory = user_path(directory)
    try:
        text = json.dumps(config, indent=2, sort_keys=False, allow_nan=False) + "\n"
        apart = _apart(tensors)
        writers: dict[str, Callable[[Path], Any]] = {
            WEIGHTS_NAME: lambda path: save_file(apart, path, metadata={"format": "pt"}),
            CONFIG_NAME: lambda path: path.write_bytes(text.encode()),
            CARD_NAME: lambda path: path.write_bytes(card.encode()),
        }
        if is_own_card(directory / CARD_NAME):
            _logger.info(one_line(f"{directory / CARD_NAME} is not one of ours, and stays as it is"))
            del writers[CARD_NAME]
        with ExitStack() as stack:
            # Renamed in the reverse order of this one.
            for name in reversed(writers):
                writers[name](stack.enter_context(replacing(directory / name)))
    except _SAVE_ERRORS as error:
        # safetensors reports what the system refuses as an error of its own.
        of_disk = isinstance(error, OSError) or "os error" in str(error)
        check = "space and rights" if of_disk else "its tensors and configuration"
        raise WeightsError(one_line(f"the model cannot be saved in {directory} ({error}): check {check}")) from error


def is_own_card(path: Path) -> bool:
    """Whether a file is a card that somebody wrote, or has changed so that it stays."""
    return path.is_file() and CARD_MARK.encode() not in path.read_bytes()


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Dense tensors on the CPU of which no two share memory."""
    apart: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TypeError(f"entry {name!r} is a {type(tensor).__name__}: expected a name and a tensor")
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return apart
