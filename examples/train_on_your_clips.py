"""Train on a folder of your own clips, from Python: CLIPS/<class>/<clip>.mp4, depth beside them as <clip>.depth.mkv.

python examples/train_on_your_clips.py CLIPS OUT [--epochs 25]
"""

import argparse

import gesture_zoo
from gesture_zoo.engine import load_recipe, train, train_val_datasets

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("clips")
parser.add_argument("out")
parser.add_argument("--epochs", type=int, default=25)
parser.add_argument("--model", default="tsm_mobilenetv2_100_msd")
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--pretrained", action="store_true", help="start from ImageNet (downloads the weights)")
args = parser.parse_args()

names = gesture_zoo.create_dataset("folder", args.clips).class_names
model = gesture_zoo.create_model(args.model, args.pretrained, num_classes=len(names))
model.pretrained_cfg.update(label_names=names, input_size=(3, args.size, args.size))
config = gesture_zoo.resolve_data_config(model=model)
data = train_val_datasets("folder", args.clips, config)
recipe = load_recipe("finetune").override({"epochs": args.epochs})
result = train(model, data.train, data.val, recipe=recipe, out=args.out, chosen_on=data.origin, progress=True)
print(f"{result.history[-1]}, {data}")
