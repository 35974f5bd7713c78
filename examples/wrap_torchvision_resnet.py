"""torchvision's ResNet-18 as a gesture model: TSM inside, taught by depth in training, RGB alone afterwards.

python examples/wrap_torchvision_resnet.py
python examples/wrap_torchvision_resnet.py --weights DEFAULT         # torchvision's ImageNet weights (a download)
python examples/wrap_torchvision_resnet.py --weights resnet18.pth    # or a file: .pth or .safetensors
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from torchvision.models import ResNet18_Weights, resnet18

import gesture_zoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--weights", help=f"a file, or one of {', '.join(ResNet18_Weights.__members__)}")
args = parser.parse_args()
torch.manual_seed(0)

if args.weights is None or args.weights in ResNet18_Weights.__members__:
    cnn = resnet18(weights=args.weights)
elif not Path(args.weights).is_file():
    parser.error(f"--weights: {args.weights} is neither a file nor one of {', '.join(ResNet18_Weights.__members__)}")
else:
    cnn = resnet18()
    is_safe = args.weights.endswith(".safetensors")
    # weights_only: a .pth is a pickle, which could otherwise run any code.
    cnn.load_state_dict(load_file(args.weights) if is_safe else torch.load(args.weights, weights_only=True))

video = gesture_zoo.with_temporal(cnn, "tsm", num_classes=25, num_segments=8)
model = gesture_zoo.with_msd(video, taps=["res1", "layer4"])

# Stand-ins for a batch of yours: 2 clips of 8 frames, depth in [0, 1] with nearer = larger, a class for each.
clip, depth, labels = torch.rand(2, 8, 3, 112, 112), torch.rand(2, 8, 1, 112, 112), torch.tensor([3, 7])
optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.0025, momentum=0.9), gesture_zoo.MSDLoss()
out = model.train()(clip)
terms = criterion.terms(out, labels, depth)  # ce, and one mean squared error of a mask per tap
criterion.total(out, terms).backward()
optimizer.step()
print("a training step:", ", ".join(f"{name} {term.item():.3f}" for name, term in terms.items()))

deploy = gesture_zoo.strip_msd(model).eval()
with torch.inference_mode():
    logits, backwards = deploy(clip), deploy(clip.flip(1))
training, left = (sum(p.numel() for p in m.parameters()) / 1e6 for m in (model, deploy))
print(
    f"stripped: {training:.1f} M parameters in training, {left:.1f} M left, logits {tuple(logits.shape)} from RGB alone"
)
print(f"it sees time: played backwards, logits differ by up to {(logits - backwards).abs().max().item():.4f}")
