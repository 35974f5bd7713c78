"""Train on a folder of your own clips, from Python: CLIPS/<class>/<clip>.mp4, depth beside them as <clip>.depth.mkv.

python examples/train_on_your_clips.py CLIPS OUT [--epochs 25] [--pretrained]
"""

import argparse

import torch

import gesture_zoo
from gesture_zoo.engine import load_recipe, train, train_val_datasets
from gesture_zoo.memory import keep_freed_memory

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("clips")
parser.add_argument("out")
parser.add_argument("--epochs", type=int, default=25)
parser.add_argument("--model", default="tsm_mobilenetv2_100_msd")
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--pretrained", action="store_true", help="start from ImageNet (downloads the weights)")
args = parser.parse_args()
keep_freed_memory()  # on a CPU up to twice as fast
torch.manual_seed(args.seed)  # decoders and classifier start at random

names = gesture_zoo.create_dataset("folder", args.clips).class_names
model = gesture_zoo.create_model(args.model, args.pretrained, num_classes=len(names))
model.pretrained_cfg.update(label_names=names, input_size=(3, args.size, args.size))
config = gesture_zoo.resolve_data_config(model=model)
data = train_val_datasets("folder", args.clips, config, seed=args.seed)
recipe = load_recipe("finetune").override({"epochs": args.epochs, "seed": args.seed})
print(f"{len(data.train)} clips of {', '.join(names)}; {data}")
result = train(model, data.train, data.val, recipe=recipe, out=args.out, chosen_on=data.origin, progress=True)

last = result.history[-1]
print(f"\ntrained in {result.seconds:.0f} s, loss of the last epoch {last['loss']:.3f}: {args.out}")
if result.best_epoch is not None:
    best = max(epoch["val_top1"] for epoch in result.history)
    print(
        f"top-1 from RGB alone {last['val_top1']:.1%}, best {best:.1%} after epoch {result.best_epoch}: {args.out}/best"
    )
for tap, error in result.depth_after.items():
    before = result.depth_before[tap].rmse
    print(f"depth error at {tap}: {before:.3f} before, {error.rmse:.3f} after; the mean depth: {error.baseline:.3f}")
print(f"next: gesture-zoo predict CLIP.mp4 --checkpoint {args.out}")
