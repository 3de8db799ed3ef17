"""The one training loop: a model, a source of minibatches, and settings enter.

The model leaves trained, with one row of history an epoch and split. It runs on
Lightning Fabric: CPU or GPU, half precision where the device likes it, several devices.
Every epoch starts from a seed of its own, so that a training that was killed between
two epochs goes on to the same result from the state that was kept.
"""

import contextlib
import time
import traceback

import numpy as np
import torch
from torch import nn

from radlatent.errors import RadlatentError
from radlatent.nn.discriminator import accuracy, discriminator_loss, shuffled
from radlatent.nn.training.devices import Methods, launched
from radlatent.nn.training.settings import Sources, Trained, Training
from radlatent.nn.training.state import Checkpoint, pack, unpack
from radlatent.nn.training.weights import (
    borrowed,
    copy_of,
    mean_of,
    optimizer_of,
    rate_at,
)
from radlatent.parallel import progress_bar

__all__ = ["train"]

#: Cases that pass together where no gradient is kept: never more than in a step.
_TOGETHER = 64


def train(
    model: nn.Module,
    sources: Sources,
    training: Training,
    *,
    discriminator: nn.Module | None = None,
    random_state: int = 0,
    checkpoint: Checkpoint | None = None,
    description: str = "",
) -> Trained:
    """Train a model in place.

    Parameters
    ----------
    model
        With ``loss(minibatch, progress=, discriminator=)``, and ``pairs(minibatch)``
        where there is a discriminator.
    sources
        Training cases, and validation cases.
    training
        The settings.
    discriminator
        Gives logits of pairs; None where the model has no such term.
    random_state
        Order of the cases, draws, dropout and augmentation.
    checkpoint
        What to go on from, and what keeps the state after every epoch; None does
        neither.
    description
        What the progress bar says; nothing is shown without it.

    Raises
    ------
    RadlatentError
        The settings are faulty, the loss is not finite (the model then has the weights
        of the last epoch whose loss was), or the device ran out of memory (with the
        size of the minibatch that would fit).
    """
    _check_settings(sources, training, discriminator)
    fabric = launched(training)
    random_state = fabric.broadcast(random_state)
    loop = _Loop(fabric, model, sources, training, discriminator)
    checkpoint = checkpoint or Checkpoint()
    if checkpoint.start is not None:
        loop.restore(checkpoint.start)
    # draws come from torch's own generators: what they were before is given back
    cuda = [fabric.device] if fabric.device.type == "cuda" else []
    shown = description if fabric.is_global_zero else ""
    bar = progress_bar(shown, training.epochs, loop.epoch)
    with torch.random.fork_rng(cuda), bar as advance:
        while loop.epoch < training.epochs and not loop.is_done():
            loop.run_epoch(random_state)
            advance()
            if checkpoint.keep is not None and fabric.is_global_zero:
                checkpoint.keep(loop.state())
    loop.finish()
    return Trained(loop.history, loop.best_epoch)


def _check_settings(sources, training, discriminator):
    found = training.problems()
    fewest = max(training.n_devices, 1 if discriminator is None else 2)
    if training.patience is not None and sources.validation is None:
        found.append("patience needs validation cases; give a validation_fraction")
    if len(sources.training) < fewest:
        n = len(sources.training)
        found.append(f"{n} training cases; give {fewest} or more")
    alone = training.minibatch_size < 2 * training.n_devices
    if alone and discriminator is not None and training.schedule.kind == "steps":
        found.append("schedule 'steps' needs minibatches of two or more cases a device")
    if found:
        msg = "training: " + "; ".join(found) + "."
        raise RadlatentError(msg)


class _Loop:
    """Model, discriminator and optimizers between two epochs."""

    def __init__(self, fabric, model, sources, training, discriminator):
        self.fabric, self.training, self.sources = fabric, training, sources
        self.plain, self.critic = model, discriminator
        optimizer = optimizer_of(model, training)
        self.model, self.optimizer = fabric.setup(Methods(model), optimizer)
        self.mean = mean_of(model, training.averaging)
        if discriminator is not None:
            rate = training.schedule.learning_rate
            critic_adam = torch.optim.Adam(
                discriminator.parameters(), lr=rate, fused=True
            )
            self.wrapped, self.critic_optimizer = fabric.setup(
                discriminator, critic_adam
            )
        self.epoch, self.history = 0, []
        self.best, self.best_epoch, self.best_loss = None, 0, np.inf
        self.good, self.good_epoch = copy_of(model), -1

    def run_epoch(self, random_state):
        """Train for one epoch and add its rows to the history."""
        start = time.perf_counter()
        self._seed(random_state)
        self._set_rate()
        self._keep_good()
        self.model.train()
        schedule, means = self.training.schedule, _Means()
        is_phase = schedule.kind == "phases" and self.epoch % schedule.every == 0
        if is_phase and self.critic is not None:
            self._phase()
        for rows in self._minibatches(random_state):
            minibatch = self._load(self.sources.training, rows, augment=True)
            self._guarded_step(minibatch, means)
        row = {"epoch": self.epoch, "split": "train"} | means.values(self.fabric)
        row |= self._critic_row(self.sources.training)
        self._check(row)
        self.history.append(row | {"seconds": time.perf_counter() - start})
        if self.sources.validation is not None:
            self._validate()
        else:
            self.best_epoch = self.epoch
        self.epoch += 1

    def is_done(self):
        """Return whether the validation loss has stopped falling."""
        patience = self.training.patience
        return patience is not None and self.epoch - self.best_epoch > patience

    def _seed(self, random_state):
        entropy = [random_state, self.epoch, self.fabric.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def _set_rate(self):
        rate = rate_at(self.epoch, self.training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _minibatches(self, random_state):
        n, n_devices = len(self.sources.training), self.fabric.world_size
        # one order for all devices, of which each takes its share
        order = np.random.default_rng([random_state, self.epoch]).permutation(n)
        order = order[: n - n % n_devices][self.fabric.global_rank :: n_devices]
        size = max(1, self.training.minibatch_size // n_devices)
        # parts of nearly one size: no minibatch of a single case is left over
        return torch.tensor_split(torch.from_numpy(order), -(-len(order) // size))

    def _in_order(self, source):
        together = min(self.training.minibatch_size, _TOGETHER)
        return torch.arange(len(source)).split(together)

    def _load(self, source, rows, *, augment):
        return source.minibatch(rows, self.fabric.device, augment=augment)

    def _steps(self, minibatch, means):
        """Take a step of the discriminator, where it goes along, and of the model."""
        along = self.critic is not None and self.training.schedule.kind == "steps"
        # one case alone cannot be shuffled
        if along and len(minibatch.x) > 1:
            with torch.no_grad():
                pairs = self.model("pairs", minibatch)
            self._critic_step(*pairs)
        with _frozen(self.critic):
            self._step(minibatch, means)

    def _step(self, minibatch, means):
        told = {"progress": self.epoch / self.training.epochs}
        if self.critic is not None:
            told["discriminator"] = self.critic
        total, parts = self.model("loss", minibatch, **told)
        self.optimizer.zero_grad()
        self.fabric.backward(total.mean())
        # what is not finite is told at the end of the epoch, with the parts of the loss
        self.fabric.clip_gradients(
            self.model,
            self.optimizer,
            max_norm=self.training.clip_norm,
            error_if_nonfinite=False,
        )
        self.optimizer.step()
        if self.mean is not None:
            self.mean.update_parameters(self.plain)
        means.add({"total": total} | parts)

    def _guarded_step(self, minibatch, means):
        try:
            self._steps(minibatch, means)
        except torch.OutOfMemoryError as error:
            # the frames of the step hold what it had computed
            traceback.clear_frames(error.__traceback__)
            raise RadlatentError(self._that_fits(minibatch)) from error

    def _that_fits(self, minibatch):
        """Return a message with the largest half, quarter, ... that fits."""
        size = tried = len(minibatch.x)
        while tried > 1:
            tried //= 2
            self.optimizer.zero_grad(set_to_none=True)
            if self.fabric.device.type == "cuda":
                torch.cuda.empty_cache()
            kind = type(minibatch)
            part = kind(*(t if t is None else t[:tried] for t in minibatch))
            try:
                self._steps(part, _Means())
            except torch.OutOfMemoryError as error:
                traceback.clear_frames(error.__traceback__)
                continue
            return (
                f"a minibatch of {size} cases of {tuple(minibatch.x.shape[1:])} does "
                f"not fit in the memory of {self.fabric.device}; {tried} would. Set "
                f"minibatch_size={tried}."
            )
        return (
            f"not one case of {tuple(minibatch.x.shape[1:])} fits in the memory of "
            f"{self.fabric.device}. Take a coarser spacing_mm or a smaller width."
        )

    def _phase(self):
        """Train the discriminator on all training cases; the model stands still."""
        first, second = self._all_pairs(self.sources.training)
        for _ in range(self.training.schedule.n_steps):
            self._critic_step(first, second)

    def _all_pairs(self, source):
        with torch.no_grad():
            pairs = [
                self.model("pairs", self._load(source, rows, augment=False))
                for rows in self._in_order(source)
            ]
        return tuple(torch.cat(side) for side in zip(*pairs, strict=True))

    def _critic_step(self, first, second):
        noise = self.training.schedule.noise
        first = first + noise * torch.randn_like(first)
        true = self.wrapped(first, second)
        false = self.wrapped(first, shuffled(second))
        self.critic_optimizer.zero_grad()
        self.fabric.backward(discriminator_loss(true, false))
        self.critic_optimizer.step()

    def _critic_row(self, source):
        """Return loss and accuracy of the discriminator on the means of all cases."""
        if self.critic is None or len(source) < 2:
            return {}
        self.model.eval()
        first, second = self._all_pairs(source)
        with torch.no_grad():
            true = self.critic(first, second)
            false = self.critic(first, shuffled(second))
        self.model.train()
        return {
            "discriminator_loss": float(discriminator_loss(true, false)),
            "discriminator_accuracy": float(accuracy(true, false)),
        }

    def _validate(self):
        with borrowed(self.mean, self.plain):
            self._validate_now()

    def _validate_now(self):
        source, means = self.sources.validation, _Means()
        self.model.eval()
        # without the discriminator: its term is no measure that stands still
        told = {"progress": (self.epoch + 1) / self.training.epochs}
        for rows in self._in_order(source):
            minibatch = self._load(source, rows, augment=False)
            with torch.no_grad():
                total, parts = self.model("loss", minibatch, **told)
            means.add({"total": total} | parts)
        row = {"epoch": self.epoch, "split": "validation"} | means.values(self.fabric)
        self._check(row)
        self.history.append(row | self._critic_row(source))
        # before that the discriminator has hardly told latents apart
        early = self.critic is not None and self.epoch < self.training.epochs // 2
        if row["total"] < self.best_loss and not early:
            self.best_loss, self.best_epoch = row["total"], self.epoch
            if self.training.patience is not None:
                self.best = copy_of(self.plain)
        elif self.training.patience is None or early:
            self.best_epoch = self.epoch

    def _keep_good(self):
        """Keep the weights that the epoch starts from, unless they are spoilt."""
        weights = copy_of(self.plain)
        # the last step of an epoch may spoil them after its loss was taken
        if all(bool(torch.isfinite(value).all()) for value in weights.values()):
            self.good, self.good_epoch = weights, self.epoch - 1

    def _check(self, row):
        """Refuse a loss that is not finite; the model gets its last good weights.

        An error, although a model is at hand: nobody asked for that of an epoch before
        it explodes, and whoever wants it has it.
        """
        if np.isfinite(row["total"]):
            return
        self.plain.load_state_dict(self.good)
        self.plain.to("cpu").eval()
        parts = {k: v for k, v in row.items() if k not in ("epoch", "split")}
        last = self.good_epoch
        kept = f"of epoch {last}" if last >= 0 else "those it began with"
        msg = (
            f"training diverged: in epoch {row['epoch']} the {row['split']} loss is "
            f"{parts}. Lower learning_rate (now {self.training.learning_rate}) or the "
            f"weight of the part that grew. The model has its last good weights, "
            f"{kept}."
        )
        raise RadlatentError(msg)

    def finish(self):
        """Give the model its best weights, and stop training it."""
        if self.best is not None:
            self.plain.load_state_dict(self.best)
        elif self.mean is not None:
            self.plain.load_state_dict(self.mean.module.state_dict())
        self.plain.to("cpu").eval()

    def state(self):
        """Return everything that the next epoch depends on."""
        numbers = {
            "epoch": self.epoch,
            "history": list(self.history),
            "best_epoch": self.best_epoch,
            "best_loss": float(self.best_loss),
        }
        return pack(*self._kept(), self.best, numbers)

    def restore(self, state):
        """Go on from a state."""
        self.best = unpack(state, *self._kept())
        numbers = state.numbers
        self.epoch, self.history = numbers["epoch"], list(numbers["history"])
        self.best_epoch = numbers["best_epoch"]
        self.best_loss = numbers["best_loss"]

    def _kept(self):
        modules, optimizers = {"model": self.plain}, {"optimizer": self.optimizer}
        if self.mean is not None:
            modules["mean"] = self.mean
        if self.critic is not None:
            modules["critic"] = self.critic
            optimizers["critic_optimizer"] = self.critic_optimizer
        return modules, optimizers


@contextlib.contextmanager
def _frozen(module):
    """Keep gradients out of a module while others pass through it."""
    if module is None:
        yield
        return
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


class _Means:
    """Means of named values over all cases of an epoch."""

    def __init__(self):
        self.sums, self.n = {}, 0

    def add(self, values):
        for name, value in values.items():
            # stays on the device: reading a number would wait for it at every step
            self.sums[name] = self.sums.get(name, 0.0) + value.detach().sum()
        self.n += len(value)

    def values(self, fabric):
        """Return the means over all devices."""
        sums = [total.float() for total in self.sums.values()]
        n = torch.full_like(sums[0], self.n)
        *sums, n = fabric.all_reduce(torch.stack([*sums, n]), reduce_op="sum").tolist()
        return {name: total / n for name, total in zip(self.sums, sums, strict=True)}
