"""Training and drawing of segmenters: against a plain loop and MONAI's own trainer.

    python benchmarks/segmentation.py [--network unet] [--width 24] [--repeats 5]

The same network, weights, patches and loss on all sides, arrays in memory, float32, one
thread, no augmentation; sides take turns. An epoch each is not counted; the median CPU
time of the others counts. The learning rate is so small that the mean loss of an epoch
does not depend on the order of the patches: it is compared before times. MONAI's
trainer needs pytorch-ignite, which is installed into a folder of its own.

Drawing: CPU time from an image of 10 x 256 x 216 in memory to its mask on the same
grid, by a network of random weights, in windows over 288 mm, in bfloat16.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import radlatent as rl
from radlatent.imaging import Volume
from radlatent.nn import Sources, train
from radlatent.segmentation.prepare import PreparedImage
from radlatent.segmentation.source import PatchSource

SIZE, N_IMAGES, N_SLICES, MINIBATCH = (128, 128), 8, 16, 16

#: Changes nothing within a benchmark, so that losses do not depend on the order.
LEARNING_RATE = 1e-12

#: Relative difference of the mean losses: float32 sums of some thousand pixels.
TOLERANCE = 1e-4


def images():
    """Return prepared images of noise, with a disk of each structure."""
    rng = np.random.default_rng(0)
    y, x = np.indices(SIZE)
    labels = np.zeros((N_SLICES, *SIZE), np.uint8)
    for label, radius in ((1, 40), (2, 30), (3, 20)):
        labels[:, (y - 64) ** 2 + (x - 64) ** 2 < radius**2] = label
    told = (np.ones(3), np.ones((3, 3)), np.zeros(3))
    drawn = [labels + rng.normal(0, 1, labels.shape) for _ in range(N_IMAGES)]
    return [PreparedImage(one.astype(np.float16), labels, *told) for one in drawn]


class Patches(Dataset):
    """The same patches, as a loader takes them."""

    def __init__(self, found):
        arrays = np.concatenate([image.image for image in found])
        self.x = torch.from_numpy(arrays).float()[:, None]
        labels = np.concatenate([image.labels for image in found])
        self.labels = torch.from_numpy(labels).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return {"image": self.x[row], "label": self.labels[row]}


def model_of(options):
    """Return an untrained segmenter's model, always of the same weights."""
    patch = rl.Patch(SIZE, (1.5, 1.5))
    about = {"minibatch_size": MINIBATCH, "learning_rate": LEARNING_RATE}
    training = rl.Training(epochs=2, **about)
    about = {"width": options.width, "patch": patch, "training": training}
    segmenter = rl.Segmenter(options.network, **about)
    segmenter.structures_ = ["RV", "MYO", "LV"]
    torch.manual_seed(0)
    return segmenter.build(), segmenter


def ours(found, options):
    """Return CPU seconds a step, and the mean loss of the first epoch."""
    model, segmenter = model_of(options)
    source = PatchSource(found, segmenter.settings["patch"])
    clock = []
    run = model.loss

    def told(*args, **kwargs):
        clock.append(time.process_time())
        return run(*args, **kwargs)

    model.loss = told
    result = train(model, Sources(source), segmenter.settings["training"])
    return _by_step(clock), result.history[0]["total"]


def plain(found, options):
    """Return the same of a plain loop."""
    model, _ = model_of(options)
    adam = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    clock, losses = [], []
    model.train()
    for _ in range(2):
        for batch in DataLoader(Patches(found), MINIBATCH, shuffle=True):
            clock.append(time.process_time())
            logits = model.network(batch["image"])
            total, _ = model.criterion(logits, batch["label"])
            adam.zero_grad()
            total.mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
            adam.step()
            losses.append(float(total.detach().mean()))
    return _by_step(clock), statistics.fmean(losses[: len(losses) // 2])


def monai(found, options):
    """Return the same of MONAI's SupervisedTrainer."""
    from monai.engines import SupervisedTrainer

    model, _ = model_of(options)
    adam = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    clock, losses = [], []

    def loss(logits, labels):
        total, _ = model.criterion(logits, labels)
        losses.append(float(total.detach().mean()))
        return total.mean()

    def network(x):
        clock.append(time.process_time())
        return model.network(x)

    network.train, network.eval = model.train, model.eval
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=DataLoader(Patches(found), MINIBATCH, shuffle=True),
        network=network,
        optimizer=adam,
        loss_function=loss,
    ).run()
    return _by_step(clock), statistics.fmean(losses[: len(losses) // 2])


def _by_step(clock):
    """Return the median time from step to step of the second epoch."""
    second = clock[len(clock) // 2 :]
    return statistics.median(np.diff(second))


def drawing(options):
    """Return slices a second of CPU time."""
    _, segmenter = model_of(options)
    patch = rl.Patch((128, 128), (1.5, 1.5), field_mm=(288.0, 288.0))
    half = rl.Training(precision="bf16-mixed")
    segmenter.set_params(patch=patch, training=half)
    segmenter.model_ = segmenter.build().eval()
    rng = np.random.default_rng(0)
    image = Volume(rng.normal(0, 1, (10, 256, 216)), (10.0, 1.56, 1.56))
    segmenter.segment(image)
    taken = []
    for _ in range(options.repeats):
        start = time.process_time()
        segmenter.segment(image)
        taken.append(time.process_time() - start)
    return 10 / statistics.median(taken)


def main():
    """Print a row a peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="unet")
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found, sides = images(), {"ours": ours, "plain": plain, "monai": monai}
    with tempfile.TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        done = subprocess.run(
            [*install, "--target", folder, "pytorch-ignite"], check=False
        )
        if done.returncode:
            print("pytorch-ignite is not installed: MONAI's trainer is left out")
            del sides["monai"]
        sys.path.insert(0, folder)
        results = {name: [] for name in sides}
        for repeat in range(options.repeats):
            order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
            for name in order:
                results[name].append(sides[name](found, options))
    mine = statistics.median(seconds for seconds, _ in results["ours"])
    for name, rows in results.items():
        seconds = statistics.median(row[0] for row in rows)
        off = abs(rows[0][1] / results["ours"][0][1] - 1)
        verdict = f"{seconds / mine:.2f}x" if off < TOLERANCE else "VALUES DIFFER"
        told = f"{1 / seconds:.3g} steps/s, ours against it {verdict}"
        print(f"{name}: {told}, mean loss off by {off:.1e}")
    print(f"drawing: {drawing(options):.3g} slices/s")


if __name__ == "__main__":
    main()
