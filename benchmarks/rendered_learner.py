"""What is to be learned from rendered items, and how well it was: a part of rendered_training.py."""

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from rendered_points import HandMaps
from rendered_pool import Batch, augmented
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.render import CLASSES
from gesture_zoo.render.draws import Draw

NONE, OTHER = CLASSES.index("No gesture"), CLASSES.index("Doing other things")
MEAN = STD = (0.5,) * 3
HAND = 0.5  # weight of the heat maps
AT_ONCE = 32  # items that are looked at together
WARM_UP = 3  # frames of a window with too little past to be judged
LINGER = 2  # frames after a gesture that are still to be taken for it: a quarter of a second


def just_over(classes: Tensor, frames: int = LINGER) -> Tensor:
    """The gesture that ended so few frames ago where no other one has begun, else -1: (N, T), of classes (N, T).

    >>> just_over(torch.tensor([[15, 0, 0, 15, 15, 15]])).tolist()
    [[-1, -1, -1, 0, 0, -1]]
    """
    gesture = (classes != NONE) & (classes != OTHER)
    over = torch.full_like(classes, -1)
    for step in range(frames, 0, -1):
        last = gesture[:, :-step] & ~gesture[:, step:]
        over[:, step:] = torch.where(last, classes[:, :-step], over[:, step:])
    return over


def allowed_classes(batch: Batch, known_from: float) -> Tensor:
    """Which classes every frame may be taken for, (N, T, K) bool.

    In the first part of a stroke it may be no gesture too. Just after it the gesture is still asked for: it is known
    best then, and what a model says in two frames of a stroke only is no event for a detector that wants to be sure.
    """
    allowed = F.one_hot(batch.classes, len(CLASSES)).bool()
    gesture = (batch.classes != NONE) & (batch.classes != OTHER)
    early = gesture & (batch.stroke < known_from)
    allowed[..., NONE] |= early
    allowed[..., OTHER] |= early
    over = just_over(batch.classes)
    allowed = torch.where((over >= 0)[..., None], F.one_hot(over.clamp(min=0), len(CLASSES)).bool(), allowed)
    allowed[:, :WARM_UP] = True
    return allowed


def stream_loss(logits: Tensor, batch: Batch, known_from: float) -> Tensor:
    """Mean of -log of the probability of the allowed classes; frames that may be anything count for nothing."""
    allowed = allowed_classes(batch, known_from)
    inside = logits.masked_fill(~allowed, -torch.inf).logsumexp(-1)
    idle = allowed[..., NONE] | allowed[..., OTHER]
    weights = torch.where(idle, 0.4, 1.0) * ~allowed.all(-1)
    return (weights * (logits.logsumexp(-1) - inside)).sum() / weights.sum()


def thinned(batch: Batch, stride: int, start: int) -> Batch:
    """Every ``stride``-th frame from ``start``."""
    return Batch(*(field[:, start::stride] if field.dim() > 1 else field for field in batch))


def normalised(frames: Tensor) -> Tensor:
    """Floats in [0, 1] as the model takes them."""
    return (frames - MEAN[0]) / STD[0]


class Learner(nn.Module):
    """A model that answers for every frame, (N*T, K), instead of their mean, and what it learns beside the classes."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        inner = model.model if isinstance(model, gesture_zoo.MSDModel) else model
        inner.consensus = lambda logits: logits
        self.model, self.hand = model, HandMaps(inner)

    def forward(self, frames: Tensor) -> Any:
        return self.model(frames)


def finished(learner: Learner, name: str) -> Any:
    """A new model for users with what was learned: without decoders and heat maps."""
    model: Any = (
        gesture_zoo.strip_msd(learner.model) if isinstance(learner.model, gesture_zoo.MSDModel) else learner.model
    )
    done = gesture_zoo.create_model(
        name.removesuffix("_msd"), num_classes=len(CLASSES), num_segments=model.num_segments
    )
    done.load_state_dict(model.state_dict())
    return done.eval()


def losses_of(
    learner: Learner, batch: Batch, draw: Draw, *, online: bool, known_from: float, side: int
) -> list[Tensor]:
    """What is to become small: of the classes, of the hand, and of every mask; frames of ``side`` pixels."""
    frames, depth, points = augmented(batch, draw)
    if side != frames.shape[-1]:
        small = F.interpolate(frames.flatten(0, 1), (side, side), mode="bilinear", antialias=True)
        frames = small.unflatten(0, points.shape[:2])
    out = learner(normalised(frames))
    logits = (out if isinstance(out, Tensor) else out.logits).float().unflatten(0, points.shape[:2])
    if online:
        losses = [stream_loss(logits, batch, known_from)]
    else:
        losses = [F.cross_entropy(logits.mean(1), batch.labels, label_smoothing=0.1)]
    losses.append(HAND * learner.hand.loss(points))
    if not isinstance(out, Tensor):
        criterion, plain = gesture_zoo.MSDLoss(), dataclasses.replace(out, logits=logits.mean(1))
        terms = criterion.terms(plain, batch.labels.clamp(min=0), depth, depth > 0)
        losses.append(criterion.total(plain, {name: term for name, term in terms.items() if name != "ce"}))
    return losses


@torch.no_grad()
def accuracy(learner: Learner, batch: Batch, online: bool) -> tuple[float, float, float]:
    """In percent: palms found within a tenth of the picture, gestures right (online: the last part of strokes), and all
    right (online: all other frames)."""
    learner.eval()
    logits, found = [], []
    for part in batch.frames.split(AT_ONCE):
        logits.append(learner(normalised(part.float() / 255)).unflatten(0, part.shape[:2]))
        found.append(learner.hand.found(part.shape[1]))
    answers, palm = torch.cat(logits), batch.points[:, :, 0]
    near = (torch.cat(found)[:, :, 0] - palm).norm(dim=-1)[(palm.abs() < 1).all(-1)] < 0.2
    shares = [near, *(_online_rights(answers, batch) if online else _clip_rights(answers, batch))]
    return tuple(100 * share.float().mean().item() for share in shares)  # type: ignore[return-value]


def _clip_rights(answers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    right = answers.mean(1).argmax(1) == batch.labels
    return right[batch.labels < NONE], right


def _online_rights(answers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    parts = answers.argmax(-1), batch.classes, batch.stroke, just_over(batch.classes)
    said, true, stroke, over = (part[:, WARM_UP:] for part in parts)
    gesture = (true != NONE) & (true != OTHER)
    right = torch.where(gesture, said == true, (said == NONE) | (said == OTHER))
    return right[gesture & (stroke >= 0.6)], right[~gesture & (over < 0)]
