"""One measurement of segmentation in a process of its own; used by `segmentation.py`.

    python benchmarks/segmentation_worker.py '{"work": "train radlatent", ...}'

The last line printed is what was found, as JSON.
"""

import json
import resource
import statistics
import sys
import time

import numpy as np
import torch
from latent_worker import LEARNING_RATE, WARM_UP, Clock
from torch.utils.data import DataLoader, TensorDataset

from radlatent.nn import Sources, Training, train
from radlatent.segmentation import build_loss, build_network, count_parameters
from radlatent.segmentation.objective import SegmentationModel, probabilities_of
from radlatent.segmentation.patch import Patch
from radlatent.segmentation.prepare import PreparedImage
from radlatent.segmentation.source import PatchSource

N_CLASSES = 4
LOSS = "dice_cross_entropy"


def prepared(task):
    """Return slices of noise with three disks, in one image."""
    generator = np.random.default_rng(0)
    size, n = tuple(task["size"]), task["n"]
    rows, columns = np.ogrid[: size[-2], : size[-1]]
    labels = np.zeros((n, *size[-2:]), np.uint8)
    for label in range(1, N_CLASSES):
        middle = generator.uniform(0.3, 0.7, (n, 2)) * size[-2:]
        away = np.hypot(
            rows[None] - middle[:, 0, None, None],
            columns[None] - middle[:, 1, None, None],
        )
        labels[away < size[-1] / 10] = label
    image = labels + generator.standard_normal(labels.shape)
    nothing = np.zeros((N_CLASSES - 1, 3))
    return PreparedImage(
        image.astype(np.float16), labels, nothing[:, 0], nothing, nothing[:, 0]
    )


def patch_of(task):
    """Return what the network sees."""
    size = tuple(task["size"])
    return Patch(size, (1.0,) * len(size), overlap=0.0)


def fresh_network(task):
    """Return the network, with the same weights in every process."""
    torch.manual_seed(0)
    return build_network(
        task["network"],
        in_channels=1,
        n_classes=N_CLASSES,
        size=tuple(task["size"]),
        width=task.get("width"),
    )


def tensors(task):
    """Return images and labels, what a peer has in memory."""
    image = prepared(task)
    x = torch.from_numpy(image.image).float().unsqueeze(1)
    return x, torch.from_numpy(image.labels).long()


def first_loss(task):
    """Return the loss of the first slices before any step, as ours counts it."""
    x, target = (one[: task["minibatch"]] for one in tensors(task))
    network = fresh_network(task).train()
    with torch.no_grad():
        return float(build_loss(LOSS)(network(x), target)[0].mean())


class Watched(PatchSource):
    """The source of ours, with a lap of a clock where an epoch begins."""

    clock, steps, count = None, 1, 0

    def minibatch(self, rows, device, *, augment):
        """Return a minibatch; the first of an epoch closes the one before."""
        if self.count and self.count % self.steps == 0:
            self.clock.lap()
        self.count += 1
        return super().minibatch(rows, device, augment=augment)


def train_radlatent(task):
    """Return the seconds a step of our loop over our source."""
    loss = first_loss(task)
    source = Watched([prepared(task)], patch_of(task))
    source.steps = -(-len(source) // task["minibatch"])
    training = Training(
        epochs=task["epochs"] + WARM_UP,
        minibatch_size=task["minibatch"],
        learning_rate=LEARNING_RATE,
        device=task["device"],
        precision=task.get("precision", "32-true"),
    )
    model = SegmentationModel(fresh_network(task), build_loss(LOSS))
    source.clock = Clock()
    train(model, Sources(source), training)
    source.clock.lap()
    return source.clock.per_step(source.steps) | {"first_loss": loss}


def train_plain(task):
    """Return the seconds a step of a plain loop over a DataLoader, with our loss."""
    device, (x, target) = torch.device(task["device"]), tensors(task)
    loss = first_loss(task)
    network, criterion = fresh_network(task).to(device).train(), build_loss(LOSS)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=0.0)
    half = task.get("precision", "32-true") != "32-true"
    loader = DataLoader(TensorDataset(x, target), task["minibatch"], shuffle=True)
    clock = Clock()
    for _ in range(task["epochs"] + WARM_UP):
        total = 0.0
        for images, labels in loader:
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                logits = network(images.to(device))
            value = criterion(logits, labels.to(device))[0].mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item()
        clock.lap()
    return clock.per_step(len(loader)) | {"first_loss": loss}


def train_monai(task):
    """Return the seconds a step of MONAI's SupervisedTrainer with its own loss."""
    from ignite.engine import Events
    from monai.data import DataLoader as Loader
    from monai.data import Dataset
    from monai.engines import SupervisedTrainer
    from monai.losses import DiceCELoss

    x, target = tensors(task)
    rows = [
        {"image": a, "label": b.unsqueeze(0)} for a, b in zip(x, target, strict=True)
    ]
    loader = Loader(Dataset(rows), batch_size=task["minibatch"], shuffle=True)
    criterion = DiceCELoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
    )
    network = fresh_network(task).train()
    some = slice(task["minibatch"])
    with torch.no_grad():
        loss = float(criterion(network(x[some]), target[some].unsqueeze(1)))
    network = fresh_network(task)
    trainer = SupervisedTrainer(
        device=torch.device(task["device"]),
        max_epochs=task["epochs"] + WARM_UP,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.AdamW(
            network.parameters(), LEARNING_RATE, weight_decay=0.0
        ),
        loss_function=criterion,
    )
    clock = Clock()
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: clock.lap())
    trainer.run()
    return clock.per_step(len(loader)) | {"first_loss": loss}


def peak_mib():
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds_of(call, repeats):
    """Return wall and CPU seconds of a call, medians after one that warms up."""
    call()
    laps = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        call()
        laps.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, cpu = (statistics.median(one) for one in zip(*laps, strict=True))
    return {"seconds": wall, "cpu": cpu}


def network(task):
    """Return parameters, seconds a step and a forward pass, and the peak of memory."""
    device, half = torch.device(task["device"]), task.get("half", False)
    found, criterion = fresh_network(task).to(device), build_loss(LOSS)
    size, n = tuple(task["size"]), task["minibatch"]
    x = torch.randn(n, 1, *size, device=device)
    target = torch.randint(0, N_CLASSES, (n, *size), device=device)
    optimizer = torch.optim.AdamW(found.parameters(), LEARNING_RATE)
    kind = {"device_type": device.type, "dtype": torch.bfloat16, "enabled": half}

    def step():
        with torch.autocast(**kind):
            logits = found(x)
        optimizer.zero_grad()
        criterion(logits, target)[0].mean().backward()
        optimizer.step()

    def forward():
        with torch.inference_mode(), torch.autocast(**kind):
            found(x)

    before = peak_mib()
    told = {"parameters": count_parameters(found)}
    found.train()
    told["step"] = seconds_of(step, task["repeats"])
    told["mib"] = peak_mib() - before
    found.eval()
    return told | {"forward": seconds_of(forward, task["repeats"])}


def infer(task):
    """Return the seconds of all slices, from prepared arrays to probabilities."""
    model = SegmentationModel(fresh_network(task), build_loss(LOSS)).eval()
    image, patch = prepared(task).image, patch_of(task)
    half = task.get("half", False)
    return seconds_of(
        lambda: probabilities_of(model, image, patch, half=half), task["repeats"]
    )


def main():
    """Do the task and print what was found."""
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    what = task["work"].replace(" ", "_")
    print(json.dumps(globals()[what](task)))


if __name__ == "__main__":
    main()
