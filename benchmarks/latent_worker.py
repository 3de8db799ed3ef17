"""One measurement of an encoder in a process of its own; used by `latent.py`.

    python benchmarks/latent_worker.py '{"work": "train", "tool": "radlatent", ...}'

The last line printed is what was found, as JSON.
"""

import json
import resource
import statistics
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, TensorDataset

from radlatent.latent.encoder import LatentEncoder
from radlatent.latent.inputs import Box, Projections
from radlatent.latent.network import Network, build_model
from radlatent.latent.prepared import PreparedCases
from radlatent.latent.source import CaseSource, fit_statistics
from radlatent.nn import Minibatch, Sizes, Training
from radlatent.schema import failures_table

#: The first epochs choose kernels and warm the caches; they are left out.
WARM_UP = 2
LATENTS = 3
LEARNING_RATE = 1e-3


def prepared_cases(size, n_channels, n, *, masked):
    """Return lesions of smooth noise as `prepare_cases` would."""
    rng = np.random.default_rng(0)
    coarse = [max(1, s // 4) for s in size]
    images = torch.from_numpy(rng.standard_normal((n, n_channels, *coarse)))
    mode = {2: "bilinear", 3: "trilinear"}[len(size)]
    images = torch.nn.functional.interpolate(images.float(), size, mode=mode).numpy()
    masks = np.ones(images.shape, bool)
    if masked:
        grid = np.ogrid[tuple(slice(s) for s in size)]
        parts = zip(grid, size, strict=True)
        masks[:] = sum(((g - s / 2) / (0.4 * s)) ** 2 for g, s in parts) <= 1
    ids = [f"p{k}" for k in range(n)]
    cases = pd.DataFrame({"patient_id": ids}, pd.Index(ids, name="case_id"))
    return PreparedCases(cases, images * masks, masks, failures_table())


def described(size, n_channels):
    """Return the inputs of an encoder for arrays of a size."""
    if len(size) == 2:
        return Projections("pet", tuple(4.0 * s for s in size), 4.0)
    names = tuple(f"m{k}" for k in range(n_channels))
    # as they are: the peers vary no case
    still = dict.fromkeys(("rotation_degrees", "shift_mm", "zoom", "contrast"), 0)
    still |= {"jitter": 0, "flips": False}
    return Box(names, tuple(map(float, size)), (1.0, 1.0, 1.0), **still)


def setting(task):
    """Return prepared cases and an unfitted encoder for a task."""
    size, channels = tuple(task["size"]), task["channels"]
    prepared = prepared_cases(size, channels, task["n"], masked=len(size) == 3)
    training = Training(
        epochs=task.get("epochs", 1) + WARM_UP,
        minibatch_size=task["minibatch"],
        learning_rate=LEARNING_RATE,
        device=task["device"],
        precision=task.get("precision", "32-true"),
        validation_fraction=0.0,
    )
    encoder = LatentEncoder(
        described(size, channels), n_latent=LATENTS, training=training
    )
    return prepared, encoder


def tensors(prepared, encoder):
    """Return standardized images and masks, what a peer has in memory."""
    statistics_ = fit_statistics(prepared, encoder.inputs).to_numpy()
    source = CaseSource(prepared, encoder.inputs, statistics_)
    rows = torch.arange(len(prepared))
    found = source.minibatch(rows, torch.device("cpu"), augment=False)
    return found.x.contiguous(), found.mask.contiguous()


def fresh_model(task):
    """Return the model, with the same weights in every process."""
    torch.manual_seed(0)
    sizes = Sizes(task["channels"], tuple(task["size"]), LATENTS)
    return build_model(Network(), sizes, beta=1.0, kappa=1.0)


def first_loss(call):
    """Return a loss whose draws are the same in every process."""
    torch.manual_seed(1)
    return float(call())


class Clock:
    """Wall and CPU time between calls of `lap`, in seconds."""

    def __init__(self):
        self.laps, self.last = [], self.now()

    def now(self):
        """Return both times; a device is waited for."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return np.array([time.perf_counter(), time.process_time()])

    def lap(self):
        """Keep the time since the last call."""
        now = self.now()
        self.laps.append(now - self.last)
        self.last = now

    def per_step(self, steps):
        """Return the medians of the laps after the warm-up, by step."""
        wall, cpu = np.median(self.laps[WARM_UP:], axis=0) / steps
        return {"seconds": float(wall), "cpu": float(cpu)}


class EveryEpoch(CaseSource):
    """The source of ours, with a lap of a clock where an epoch begins."""

    def minibatch(self, rows, device, *, augment):
        """Return a minibatch; the first of an epoch closes the one before."""
        if augment:
            count = self.counter["n"]
            if count % self.counter["steps"] == 0 and count:
                self.counter["clock"].lap()
            self.counter["n"] += 1
        return super().minibatch(rows, device, augment=augment)


class Timed(LatentEncoder):
    """The encoder with that source: all that is between two epochs is counted."""

    def _source(self, prepared, handcrafted, y):
        source = super()._source(prepared, handcrafted, y)
        parts = {f.name: getattr(source, f.name) for f in fields(CaseSource)}
        watched = EveryEpoch(**parts)
        object.__setattr__(watched, "counter", self.counter)
        return watched


def train_radlatent(task):
    """Return the seconds a step of `LatentEncoder.fit_prepared`, loader included."""
    prepared, encoder = setting(task)
    x, mask = tensors(prepared, encoder)
    model = fresh_model(task)
    some = Minibatch(x[: task["minibatch"]], mask[: task["minibatch"]])
    loss = first_loss(lambda: model.loss(some).total.mean())
    steps = -(-task["n"] // task["minibatch"])
    timed = Timed(**encoder.get_params(deep=False))
    timed.counter = {"n": 0, "steps": steps, "clock": Clock()}
    timed.fit_prepared(prepared, description="")
    timed.counter["clock"].lap()
    return timed.counter["clock"].per_step(steps) | {"first_loss": loss}


def train_plain(task):
    """Return the seconds a step of a plain loop over a DataLoader."""
    prepared, encoder = setting(task)
    x, mask = tensors(prepared, encoder)
    model, device = fresh_model(task), torch.device(task["device"])
    some = Minibatch(x[: task["minibatch"]], mask[: task["minibatch"]])
    loss = first_loss(lambda: model.loss(some).total.mean())
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.0)
    pairs = TensorDataset(x, mask)
    loader = DataLoader(pairs, task["minibatch"], shuffle=True, num_workers=0)
    clock = Clock()
    for _ in range(task["epochs"] + WARM_UP):
        total = 0.0
        for images, masks in loader:
            minibatch = Minibatch(images.to(device), masks.to(device))
            value = model.loss(minibatch).total.mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item()
        clock.lap()
    return clock.per_step(len(loader)) | {"first_loss": loss}


def train_pythae(task):
    """Return the seconds a step of pythae's trainer with our encoder and decoder."""
    import latent_pythae

    prepared, encoder = setting(task)
    x, _ = tensors(prepared, encoder)
    about = {"rate": LEARNING_RATE, "epochs": task["epochs"] + WARM_UP}
    return latent_pythae.train(fresh_model(task), x, task | about, Clock)


def encode(task):
    """Return the seconds that all cases take, from arrays or from files."""
    if "cases" in task:
        cases = pd.read_json(task["cases"]).set_index("case_id")
        cases["patient_id"] = cases["patient_id"].astype(str)
        prepared, encoder = setting(task)
        encoder.fit_prepared(prepared, description="")
        call = lambda: encoder.encode(cases)  # noqa: E731
    else:
        prepared, encoder = setting(task)
        encoder.fit_prepared(prepared.take(prepared.cases.index[:4]), description="")
        call = lambda: encoder.encode_prepared(prepared)  # noqa: E731
    call()
    found = []
    for _ in range(task["repeats"]):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return {"seconds": statistics.median(found)}


def memory(task):
    """Return the peak of one kind of work, and what the process held before it."""
    prepared, encoder = setting(task)
    cuda = task["device"] == "cuda"
    if task["what"] == "encode":
        # trained on an input of the same network but for its size: no step is taken
        encoder.statistics_ = fit_statistics(prepared, encoder.inputs)
        encoder.scaling_, encoder.classes_ = None, []
        encoder.fitted_on_ = {}
        encoder.model_ = encoder.build().eval()
        call = lambda: encoder.encode_prepared(prepared)  # noqa: E731
    else:
        call = lambda: encoder.fit_prepared(prepared, description="")  # noqa: E731
    before = peak_mib()
    call()
    found = {"peak_mib": peak_mib(), "before_mib": before}
    if cuda:
        found["device_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return found


def peak_mib():
    """Return the largest memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def busy(task):
    """Return the time a step, and of it the time that kernels run on the device."""
    plain = train_radlatent(task)["seconds"]
    prepared, encoder = setting(task)
    steps = -(-task["n"] // task["minibatch"])
    # the profiler slows the host down: it tells the kernels' time, not the wall time
    kinds = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        encoder.fit_prepared(prepared, description="")
        torch.cuda.synchronize()
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
        # these span the gaps between their kernels
        and not event.is_user_annotation
    ]
    device_s = covered(spans) / 1e6 / (steps * encoder.training.epochs)
    return {"seconds": plain, "device_seconds": device_s}


def covered(spans):
    """Return the length of the union of intervals."""
    total, reached = 0.0, -np.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


WORK = {
    "train radlatent": train_radlatent,
    "train plain": train_plain,
    "train pythae": train_pythae,
    "encode": encode,
    "memory": memory,
    "busy": busy,
}


def main():
    """Run the task of the command line."""
    task = json.loads(sys.argv[1])
    sys.path.append(str(Path(__file__).parent))
    torch.set_num_threads(task["threads"])
    print(json.dumps(WORK[task["work"]](task)))


if __name__ == "__main__":
    main()
