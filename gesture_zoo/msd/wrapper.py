"""with_msd and strip_msd: the Multi-Scale-Decoder, there in training and gone at inference.

Fan et al. 2021, "Multi-Task and Multi-Modal Learning for RGB Dynamic Gesture Recognition", arXiv 2110.15639.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from timm.utils import unwrap_model
from torch import Tensor, nn

from ..copies import copy_of
from ..dryrun import example_frames, stem_of
from ..errors import ModelError, TapError
from ..grouping import prefix_matcher
from ..outputs import logits_of
from .decoder import Decoder
from .probe import probe
from .resolve import resolve
from .taps import Tap, TapHook, as_tap


@dataclass
class MSDOutput:
    """What a model with decoders answers in training: ``logits`` (N, K) and ``masks`` by tap name.

    A mask is (N, T, 1, h, w), an estimate of depth in [0, 1], nearer = larger. ``weights``: the taps'
    factors in the loss. Unpacks as ``logits, masks``.

    >>> out = MSDOutput(torch.zeros(1, 5), {"res1": torch.zeros(1, 8, 1, 56, 56)})
    >>> logits, masks = out
    >>> logits.shape, masks["res1"].shape
    (torch.Size([1, 5]), torch.Size([1, 8, 1, 56, 56]))
    """

    logits: Tensor
    masks: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.logits, self.masks))


def _inner(name: str) -> Any:
    """A property that is the inner model's attribute ``name``, to read and to set."""

    def read(self: MSDModel) -> Any:
        return getattr(self.model, name)

    def write(self: MSDModel, value: Any) -> None:
        setattr(self.model, name, value)

    return property(read, write, doc=f"The inner model's ``{name}``.")


class MSDModel(nn.Module):
    """A model and one decoder per tap; made by ``with_msd``.

    In training ``model(clip)`` is an ``MSDOutput``; in eval it is the inner model's own logits, and no
    decoder runs. The rest of the contract (``num_segments``, ``reset_classifier``, ...) is the inner model's.

    >>> import gesture_zoo
    >>> model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=5, num_segments=2)
    >>> clip = torch.rand(1, 2, 3, 64, 64)
    >>> model.train()(clip).masks["res1"].shape, model.eval()(clip).shape
    (torch.Size([1, 2, 1, 64, 64]), torch.Size([1, 5]))
    >>> list(model.predict_masks(clip))  # also in eval
    ['res1', 'layer4']
    """

    model: Any  # an nn.Module; the contract it is asked for below is not a type

    def __init__(
        self,
        model: nn.Module,
        taps: dict[str, Tap],
        modules: dict[str, str],
        decoders: nn.ModuleDict,
        to_frames: Mapping[str, str | None],
    ) -> None:
        super().__init__()
        self.model = model
        # A 3-D CNN takes (N, C, T, H, W), but for those that say T: they take clips as all models here.
        self.is_3d = isinstance(stem_of(model), nn.Conv3d) and not hasattr(model, "num_segments")
        self.decoders = decoders
        self.taps = taps
        self.hooks = {name: TapHook(name, to_frames[name]) for name in taps}
        for name, hook in self.hooks.items():
            model.get_submodule(modules[name]).register_forward_hook(hook)

    def forward(self, clip: Tensor) -> Any:
        if not self.training:
            return self.model(clip)
        output, masks = self.decode(clip)
        weights = {name: float(tap.weight or 0) for name, tap in self.taps.items()}
        if isinstance(output, MSDOutput):  # the inner model has decoders of its own
            return MSDOutput(output.logits, {**output.masks, **masks}, {**output.weights, **weights})
        return MSDOutput(logits_of(output), masks, weights)

    def predict_masks(self, clip: Tensor) -> dict[str, Tensor]:
        """Depth masks of a clip (N, T, C, H, W) by tap name, (N, T, 1, h, w) each, in training and in eval."""
        inner = self.model.predict_masks(clip) if isinstance(self.model, MSDModel) else {}
        return {**inner, **self.decode(clip)[1]}

    def decode(self, clip: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """The inner model's answer and our masks, from one forward of it, read through the taps."""
        try:
            for hook in self.hooks.values():
                hook.open()
            output = self.model(clip)
            features = {name: hook.read() for name, hook in self.hooks.items()}
        finally:
            for hook in self.hooks.values():
                hook.close()
        masks = {}
        for name, tap in self.taps.items():
            size = tap.mask_size(clip.shape[-2], clip.shape[-1])
            mask = self.decoders[module_key(name)](features[name], size)
            masks[name] = self.as_clips(mask, clip) if clip.dim() == 5 else mask
        return output, masks

    def as_clips(self, mask: Tensor, clip: Tensor) -> Tensor:
        """Masks of frames (N*t, 1, h, w) as (N, T, 1, h, w): a 3-D CNN can have fewer than its clip's T frames."""
        frames = clip.shape[2 if self.is_3d else 1]
        masks = rearrange(mask, "(n t) c h w -> n c t (h w)", n=clip.shape[0])
        if masks.shape[2] != frames:
            masks = F.interpolate(masks, (frames, masks.shape[3]), mode="nearest")
        return rearrange(masks, "n c t (h w) -> n t c h w", h=mask.shape[-2])

    # The inner model's contract.

    num_segments = _inner("num_segments")
    in_chans = _inner("in_chans")
    num_classes = _inner("num_classes")
    num_features = _inner("num_features")
    head_hidden_size = _inner("head_hidden_size")
    drop_rate = _inner("drop_rate")
    feature_info = _inner("feature_info")
    pretrained_cfg = _inner("pretrained_cfg")
    default_cfg = _inner("default_cfg")

    def forward_features(self, clip: Tensor) -> Tensor:
        """The inner model's feature maps of every frame, (N, T, num_features, h, w)."""
        return self.model.forward_features(clip)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """The inner model's classifier on ``forward_features`` output: (N, K)."""
        return self.model.forward_head(features, pre_logits=pre_logits)

    def get_classifier(self) -> nn.Module:
        """The inner model's classifier."""
        return self.model.get_classifier()

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the inner model a new classifier; decoders stay."""
        self.model.reset_classifier(num_classes, global_pool)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the inner model's activations in the backward pass; the taps still fire once."""
        self.model.set_grad_checkpointing(enable)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any] | Callable[[str], Any]:
        """timm's parameter groups; the decoders belong to the last one, with the head."""
        return prefix_matcher(self.model.group_matcher(coarse=coarse), "model.")

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that take no weight decay."""
        names: set[str] = getattr(self.model, "no_weight_decay", set)()
        return {f"model.{name}" for name in names}


def module_key(tap_name: str) -> str:
    """A tap name as the name of a submodule, which may hold no dot and not be a method of its container.

    >>> module_key("layer2.0.conv1"), module_key("values")
    ('layer2_0_conv1', 'values_')
    """
    key = tap_name.replace(".", "_")
    return f"{key}_" if hasattr(nn.ModuleDict, key) else key


def example_clip(model: nn.Module) -> Tensor:
    """One empty clip (or image) of the size and type the model was made for, on the meta device."""
    stem = stem_of(model)
    if isinstance(stem, nn.Conv3d) and not hasattr(model, "num_segments"):
        return torch.empty((1, stem.in_channels, 16, 112, 112), device="meta", dtype=stem.weight.dtype)
    try:
        images = example_frames(model, 1, getattr(model, "frame_size", None), getattr(model, "in_chans", None))
    except ModelError as error:
        raise TapError(f"{error}: there is no feature map for a decoder") from error
    segments = getattr(model, "num_segments", None)
    return images if segments is None else images.expand(segments, -1, -1, -1)[None]


def with_msd(
    model: nn.Module,
    taps: Iterable[str | Tap | dict[str, Any]] = ("res1", "layer4"),
    *,
    example_input: Tensor | None = None,
) -> MSDModel:
    """Attach depth decoders to ``model``, for training: one per tap, sized by a dry run.

    ``model`` takes clips (N, T, C, H, W), images (N, C, H, W) or, as a 3-D CNN, volumes (N, C, T, H, W). ``taps`` are
    aliases (``res1`` is the stem after max-pooling, ``res2`` .. ``res5`` are ``layer1`` .. ``layer4``; on other CNNs
    the layer of that stride, 4, 4, 8, 16, 32, or the nearest it has), dotted module names, or ``Tap`` objects (or
    their fields as dictionaries, as in a config.json). ``example_input`` is a clip, image or volume for models whose
    input size is not in their ``pretrained_cfg``. The model is wrapped, not copied: it gets hooks that do nothing
    while it is called by itself. A tap that does not exist, has no feature map or is overwritten in place is a
    TapError. Section III of arXiv 2110.15639.

    >>> import gesture_zoo
    >>> model = with_msd(gesture_zoo.create_model("tsm_resnet18", num_classes=5), taps=["res1", "layer4"])
    >>> out = model.train()(torch.rand(1, 8, 3, 64, 64))
    >>> out.logits.shape, out.masks["res1"].shape, out.masks["layer4"].shape
    (torch.Size([1, 5]), torch.Size([1, 8, 1, 64, 64]), torch.Size([1, 8, 1, 16, 16]))
    """
    if any(module._compiled_call_impl is not None or hasattr(module, "_orig_mod") for module in model.modules()):
        raise TapError("hooks do not fire in a compiled model: with_msd goes around the plain one, compile its result")
    if example_input is not None and not (isinstance(example_input, Tensor) and example_input.dim() in (4, 5)):
        raise TapError(
            f"example_input is a clip (N, T, C, H, W) or images (N, C, H, W), got {type(example_input).__name__}"
        )
    example = example_clip(model) if example_input is None else example_input
    seen = probe(model, example)
    if isinstance(taps, Mapping) or not isinstance(taps, (Iterable, Tap)):
        raise TapError(f"taps is a list of names or Tap objects, such as ['res1', 'layer4'], got {taps!r:.80}")
    wanted = [as_tap(tap) for tap in ([taps] if isinstance(taps, (str, Tap)) else taps)]
    if not wanted:
        raise TapError("with_msd needs at least one tap, for example taps=['res1', 'layer4']")
    complete: dict[str, Tap] = {}
    modules: dict[str, str] = {}
    decoders = nn.ModuleDict()
    for tap in wanted:
        key = module_key(tap.name)
        if key in decoders or tap.name in getattr(model, "taps", ()):
            raise TapError(f"tap {tap.name!r} is given twice")
        modules[tap.name] = resolve(model, tap.name, seen, example)
        channels, stride = seen[modules[tap.name]].channels, seen[modules[tap.name]].stride(example.shape[-2])
        scale = tap.scale if tap.scale is not None else (1.0 if stride <= 4 else 0.25)
        weight = tap.weight if tap.weight is not None else (1.0 if stride <= 4 else 0.01)
        complete[tap.name] = replace(tap, scale=scale, weight=weight)
        upsamplings = max(0, round(math.log2(scale * stride)))
        if tap.widths is not None and upsamplings and len(tap.widths) != upsamplings - 1:
            raise TapError(
                f"tap {tap.name!r} at stride {stride} takes {upsamplings} steps to scale {scale:g}: "
                f"{upsamplings - 1} widths stand between them, got {tap.widths}"
            )
        decoders[key] = Decoder(channels, upsamplings, widths=tap.widths)
    reference = next(parameter for parameter in model.parameters() if parameter.is_floating_point())
    decoders.to(reference.device, reference.dtype)
    to_frames = {name: seen[module].to_frames for name, module in modules.items()}
    wrapped = MSDModel(model, complete, modules, decoders, to_frames)
    wrapped.training = model.training  # not train(), which would also wake what stays in eval inside, such as BatchNorm
    decoders.train(model.training)
    return wrapped


def strip_msd(model: nn.Module) -> nn.Module:
    """A copy of the model inside, as if ``with_msd`` had never been called: no decoder, no hook of ours.

    Accepts the model as it is, or wrapped by DistributedDataParallel or torch.compile; it stays as it was,
    ready to train on. A model without decoders is a TapError.

    >>> import gesture_zoo
    >>> deploy = strip_msd(gesture_zoo.create_model("tsm_resnet18_msd"))
    >>> type(deploy).__name__, sum(len(m._forward_hooks) for m in deploy.modules())
    ('ClipModel', 0)
    """
    bare = unwrap_model(model)
    if not isinstance(bare, MSDModel):
        raise TapError(f"strip_msd needs a model made by with_msd, got {type(bare).__name__}: nothing to strip")
    ours = {id(hook) for hook in bare.hooks.values()}
    hooked = [
        (name, key)
        for name, module in bare.model.named_modules()
        for key, hook in module._forward_hooks.items()
        if id(hook) in ours
    ]
    try:
        stripped: nn.Module = copy_of(bare.model)
    except ModelError as error:
        raise TapError(f"{error}; take its weights, model.model.state_dict(), to a fresh one") from error
    for name, key in hooked:
        del stripped.get_submodule(name)._forward_hooks[key]
    cfg = getattr(stripped, "pretrained_cfg", None)
    if isinstance(cfg, dict) and str(cfg.get("architecture")).endswith("_msd"):
        named: Any = stripped
        named.pretrained_cfg = named.default_cfg = {**cfg, "architecture": cfg["architecture"].removesuffix("_msd")}
    return stripped
