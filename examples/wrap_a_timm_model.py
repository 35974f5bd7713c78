"""Depth supervision for a CNN of your own choice: any timm CNN with residual branches as a gesture model.

python examples/wrap_a_timm_model.py
python examples/wrap_a_timm_model.py convnext_atto --temporal action --pretrained    # from ImageNet (a download)
"""

import argparse
import copy

import timm
import torch

import gesture_zoo
from gesture_zoo.layers import insertion_points

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("name", nargs="?", default="efficientnet_b0", help="a model of timm (default: efficientnet_b0)")
parser.add_argument("--temporal", default="tsm", choices=("tsm", "me", "action"), help="what mixes the frames")
parser.add_argument("--pretrained", action="store_true", help="start from ImageNet (downloads the weights)")
args = parser.parse_args()
torch.manual_seed(0)

cnn = timm.create_model(args.name, pretrained=args.pretrained)
places = insertion_points(cnn)  # the first convolution that mixes channels, of every residual branch
video = gesture_zoo.with_temporal(cnn, args.temporal, num_classes=25, num_segments=8)
print(f"{args.name}: {args.temporal} went to {len(places)} places, {places[0]} to {places[-1]}")

never_wrapped = copy.deepcopy(video)  # to compare with in the end
model = gesture_zoo.with_msd(video, taps=["res1", "layer4"])

clip, depth, labels = torch.rand(2, 8, 3, 96, 96), torch.rand(2, 8, 1, 96, 96), torch.tensor([3, 7])
optimizer = torch.optim.SGD(model.parameters(), lr=0.0025)
loss = gesture_zoo.MSDLoss()(model.train()(clip), labels, depth)
loss.backward()
optimizer.step()
print(f"loss {loss.item():.3f}, masks of {', '.join(model.taps)}")

deploy = gesture_zoo.strip_msd(model).eval()
never_wrapped.load_state_dict(deploy.state_dict())  # what was learnt, under the same names
with torch.inference_mode():
    logits, trained, plain = deploy(clip), model.eval()(clip), never_wrapped.eval()(clip)
print(f"stripped: {tuple(logits.shape)} logits from RGB alone")
print(f"apart from those of the model that was trained by {(logits - trained).abs().max().item()}")
print(f"and from those of one that never had decoders, with the same weights, by {(logits - plain).abs().max().item()}")
