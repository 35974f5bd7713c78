"""A CNN of your own as a gesture model: places found by a rule or named by you, decoders on layers that you name.

python examples/wrap_your_own_cnn.py
"""

import torch
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.layers import TemporalModule, insertion_points


class Block(nn.Module):
    """A residual block nobody has seen before: it takes and returns a tuple."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, after // 2, 1)
        self.spread = nn.Conv2d(after // 2, after, 3, stride=2, padding=1)
        self.past = nn.Conv2d(before, after, 1, stride=2)

    def forward(self, state: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, list[Tensor]]:
        x, strengths = state
        branch = self.spread(self.squeeze(x).relu())
        return (branch + self.past(x)).relu(), [*strengths, branch.abs().mean()]


class OwnCNN(nn.Module):
    """Answers with logits and, beside them, what its blocks had to say."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList([Block(16, 32), Block(32, 64), Block(64, 96)])
        self.answer = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state = (self.stem(x), [])
        for block in self.blocks:
            state = block(state)
        return self.answer(state[0].mean((2, 3))), torch.stack(state[1])


torch.manual_seed(0)
# The rule: one dry run shows where branches are added to what goes past them, whatever a block is called.
cnn = OwnCNN()
print("by the rule:", ", ".join(insertion_points(cnn)))
video = gesture_zoo.with_temporal(cnn, "tsm", num_classes=4, num_segments=8)  # cnn itself is changed

# By name: other places (here a dotted name and a pattern), and the layer that gives the logits.
cnn = OwnCNN()
places = ["blocks.0.squeeze", "blocks.[12].spread"]
video = gesture_zoo.with_temporal(cnn, "action", num_classes=4, num_segments=8, insert_at=places, classifier="answer")
print("by name:", ", ".join(name for name, module in cnn.named_modules() if isinstance(module, TemporalModule)))

# Taps by dotted names: a large mask near the input, a small one deep inside.
model = gesture_zoo.with_msd(video, taps=["blocks.0", gesture_zoo.Tap("blocks.2", scale=1 / 4, weight=0.1)])
clip, depth, labels = torch.rand(2, 8, 3, 64, 64), torch.rand(2, 8, 1, 64, 64), torch.tensor([0, 3])
optimizer, criterion = torch.optim.AdamW(model.parameters(), lr=0.002), gesture_zoo.MSDLoss()
losses = []
for _ in range(5):
    out = model.train()(clip)
    loss = criterion(out, labels, depth)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print("masks:", ", ".join(f"{name} {tuple(mask.shape)}" for name, mask in out.masks.items()))
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {len(losses)} steps on one batch")

deploy = gesture_zoo.strip_msd(model).eval()
print(f"stripped: {tuple(deploy(clip).shape)} logits from RGB alone, a {type(deploy).__name__} around your OwnCNN")
