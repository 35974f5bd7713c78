"""Depth supervision for a CNN of your own choice: any timm EfficientNet as a gesture model.

python examples/wrap_a_timm_model.py
"""

import timm
import torch

import gesture_zoo

cnn = timm.create_model("efficientnet_b0")  # pretrained=True where there is a network
video = gesture_zoo.with_temporal(cnn, "tsm", num_classes=25, num_segments=8)
model = gesture_zoo.with_msd(video, taps=["res1", "layer4"])

clip, depth, labels = torch.rand(2, 8, 3, 96, 96), torch.rand(2, 8, 1, 96, 96), torch.tensor([3, 7])
loss = gesture_zoo.MSDLoss()(model.train()(clip), labels, depth)
loss.backward()
print(f"loss {loss.item():.3f}, masks of {', '.join(model.taps)}")

deploy = gesture_zoo.strip_msd(model).eval()
print(f"stripped: {tuple(deploy(clip).shape)} logits from RGB alone")
