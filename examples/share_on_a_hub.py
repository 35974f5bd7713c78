"""Share a model on a Hugging Face Hub, load it back from there, and see that it answers the same.

HF_TOKEN=hf_... python examples/share_on_a_hub.py you/my-gestures --private
HF_TOKEN=hf_... python examples/share_on_a_hub.py you/my-gestures --model local-dir:runs/mine     # a run of yours

After `hf auth login` HF_TOKEN is not needed; HF_ENDPOINT names another Hub than huggingface.co.
"""

import argparse
import os
import sys

import torch

import gesture_zoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("repo_id", help="owner/name; made if it does not exist")
parser.add_argument("--model", default="tsm_test_resnet", help="a name, or local-dir:FOLDER (default: a tiny network)")
parser.add_argument("--private", action="store_true", help="if the repository is made, only you may read it")
parser.add_argument("--token", help="instead of HF_TOKEN; other users of the machine can see it")
args = parser.parse_args()
if "/" not in args.repo_id:
    parser.error(f"repo_id is owner/name, got {args.repo_id}")
if args.token:
    os.environ["HF_TOKEN"] = args.token  # a private model also takes it to be read
torch.manual_seed(0)

try:
    model = gesture_zoo.create_model(args.model)
    print("pushed:", gesture_zoo.push_to_hub(model, args.repo_id, private=args.private))
    back = gesture_zoo.create_model(f"hf-hub:{args.repo_id}")
except gesture_zoo.GestureZooError as error:
    sys.exit(f"error: {error}")  # one line that says what to do

clip = torch.rand(1, model.num_segments, *model.pretrained_cfg["input_size"])
with torch.inference_mode():
    difference = (model.eval()(clip) - back.eval()(clip)).abs().max().item()
names = ", ".join(back.pretrained_cfg.get("label_names") or ()) or "without names"
print(f"loaded: {back.pretrained_cfg['architecture']}, {back.num_classes} classes ({names})")
print(f"its answer and that of the model that was pushed are {difference} apart")
