"""The models, clips and calls that are timed. A part of speed.py."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.models.backbones import create_backbone

FRAMES, SIDE, CLASSES = 8, 224, 83
PAPER = ("tsm_resnet50", "tea_res2net50_26w_4s", "action_resnet50")
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def plain_cnn(name: str) -> nn.Module:
    """The CNN under a model of the zoo, as a clip model: every frame by itself."""
    backbone = name.partition("_")[2].removesuffix("_online")
    cnn = create_backbone(backbone, num_classes=CLASSES)
    return gesture_zoo.ClipModel(cnn, FRAMES)


def prepare(model: nn.Module, format: str, dtype: torch.dtype) -> nn.Module:
    return model.to(dtype).to(memory_format=FORMATS[format])


def clips(batch: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(batch, FRAMES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).to(dtype)


def training_step(model: nn.Module, clip: Tensor, *, depth: bool = False, bf16: bool = False) -> Callable[[], object]:
    """Forward, loss and backward; with ``depth`` the decoders' too, with ``bf16`` the forward under autocast."""
    model.train()
    labels = torch.arange(len(clip), device=clip.device) % CLASSES
    target = torch.rand(len(clip), FRAMES, 1, *clip.shape[-2:], device=clip.device) if depth else None
    loss_of = gesture_zoo.MSDLoss() if depth else nn.CrossEntropyLoss()

    def step() -> None:
        for parameter in model.parameters():
            parameter.grad = None
        with torch.autocast(clip.device.type, torch.bfloat16, enabled=bf16):
            answer = model(clip)
            loss = loss_of(answer, labels, target) if depth else loss_of(answer, labels)
        loss.backward()

    return step
