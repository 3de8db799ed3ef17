"""The training loop, against models whose every step is known in closed form."""

import os
import subprocess
import sys
import weakref
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.errors import RadlatentError  # noqa: E402
from radlatent.nn import (  # noqa: E402
    VAE,
    Checkpoint,
    Discriminator,
    Loss,
    Minibatch,
    NonRedundantVAE,
    Schedule,
    Sizes,
    Sources,
    Training,
    train,
)


@pytest.fixture(autouse=True)
def one_thread():
    """Compute on one thread, of which small tensors are done sooner."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Cases:
    """Random images and features in memory, and a record of what was asked for."""

    def __init__(self, n, seed=0, size=(4, 4)):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(n, 1, *size, generator=generator)
        self.h = torch.randn(n, 3, generator=generator)
        self.asked = []

    def __len__(self):
        return len(self.x)

    def minibatch(self, rows, device, *, augment):
        self.asked.append((rows.tolist(), augment))
        x = self.x[rows].to(device)
        return Minibatch(x, torch.ones_like(x), self.h[rows].to(device))


class Slope(torch.nn.Module):
    """Total loss w, so that AdamW lowers w by its rate at every step."""

    def __init__(self, total=None):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(()))
        self.total = total or (lambda w, progress: w)
        self.progress = []

    def loss(self, minibatch, *, progress, discriminator=None):
        self.progress.append(progress)
        value = self.total(self.w, progress) + torch.zeros(len(minibatch.x))
        if discriminator is not None:
            value = value + discriminator(*self.pairs(minibatch))
        return Loss(value, {"slope": value}, value[:, None])

    def pairs(self, minibatch):
        return minibatch.h, self.w * minibatch.x.mean(dim=(1, 2, 3))[:, None]


class Squares(torch.nn.Module):
    """A regression without any draw: (x . w - h0)^2 of each case."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.linspace(-1, 1, 16))

    def loss(self, minibatch, *, progress):
        z = minibatch.x.flatten(1) @ self.w
        error = (z - minibatch.h[:, 0]) ** 2
        return Loss(error, {"error": error}, z[:, None])


class Watched(torch.nn.Module):
    """A discriminator that writes down how it was called."""

    def __init__(self, model):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.calls, self.watched = [], [model]

    def forward(self, first, second):
        self.calls.append(
            {
                "n": len(first),
                "trains": self.layer.weight.requires_grad and torch.is_grad_enabled(),
                "reaches_model": second.requires_grad,
                "w": float(self.watched[0].w.detach()),
            }
        )
        return self.layer(torch.cat([first, second], dim=1)).squeeze(1)


def vae(seed=0, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VAE(Sizes(1, (4, 4), 2), width=2, **kwargs)


def nonredundant(seed=0, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = NonRedundantVAE(Sizes(1, (4, 4), 2, 3), width=2, **kwargs)
        return model, Discriminator(3, 2, 4)


def totals(trained, split="train"):
    return [row["total"] for row in trained.history if row["split"] == split]


def told(trained):
    """Return the history without what the clock says."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in trained.history]


def same(first, second):
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def cosine(n, rate=0.1):
    return rate * 0.5 * (1 + np.cos(np.pi * np.arange(n) / n))


class TestSteps:
    def test_rate_falls_along_half_a_cosine(self):
        training = Training(epochs=6, minibatch_size=9, learning_rate=0.1)
        trained = train(Slope(), Sources(Cases(9)), training)
        np.testing.assert_allclose(-np.diff(totals(trained)), cosine(6)[:5], rtol=1e-5)

    def test_rate_rises_first_and_falls_to_a_floor(self):
        training = Training(
            epochs=8, learning_rate=0.1, warm_up_epochs=2, floor=0.02, minibatch_size=9
        )
        trained = train(Slope(), Sources(Cases(9)), training)
        rates = [0.1 / 3, 0.2 / 3, *(0.02 + cosine(6, 0.08))]
        np.testing.assert_allclose(-np.diff(totals(trained)), rates[:7], rtol=1e-5)

    def test_adamax_forgets_no_large_gradient(self):
        """Kingma & Ba 2015, algorithm 2: w -= rate m / (1 - b1^t) / u."""
        model = Slope(lambda w, progress: w * (8 if progress == 0 else 1))
        training = Training(
            epochs=3, learning_rate=0.1, floor=0.1, optimizer="adamax", eps=0.5
        )
        train(model, Sources(Cases(2)), training)
        first, moved, largest = 0.0, 0.0, 0.0
        for step, gradient in enumerate([8.0, 1.0, 1.0], start=1):
            first = 0.9 * first + 0.1 * gradient
            # torch adds eps before it takes the larger
            largest = max(0.999 * largest, gradient + 0.5)
            moved -= 0.1 * first / (1 - 0.9**step) / largest
        assert model.w.item() == pytest.approx(moved, rel=1e-5)

    def test_every_minibatch_is_a_step(self):
        model = Slope()
        train(model, Sources(Cases(10)), Training(epochs=1, minibatch_size=4))
        assert model.w.item() == pytest.approx(-3e-3, rel=1e-5)

    def test_weight_decay_is_decoupled(self):
        model = Slope(lambda w, progress: 0 * w)
        with torch.no_grad():
            model.w.fill_(2.0)
        training = Training(epochs=4, learning_rate=0.1, weight_decay=0.5)
        train(model, Sources(Cases(3)), training)
        assert model.w.item() == pytest.approx(2 * np.prod(1 - 0.5 * cosine(4)))

    @pytest.mark.parametrize(("clip", "equal"), [(1.0, True), (1e6, False)])
    def test_gradients_are_clipped(self, clip, equal):
        model = Slope(lambda w, progress: w * (1000 if progress == 0 else 1))
        training = Training(epochs=3, learning_rate=0.1, clip_norm=clip)
        train(model, Sources(Cases(3)), training)
        # Adam steps by its rate where gradients are equal
        assert (model.w.item() == pytest.approx(-cosine(3).sum(), rel=1e-4)) == equal

    def test_model_is_told_the_progress(self):
        model = Slope()
        train(model, Sources(Cases(2)), Training(epochs=4))
        assert model.progress == [0, 0.25, 0.5, 0.75]

    def test_minibatches_are_of_nearly_one_size_and_hold_every_case_once(self):
        cases = Cases(10)
        train(Slope(), Sources(cases), Training(epochs=2, minibatch_size=4))
        rows = [rows for rows, augment in cases.asked if augment]
        assert [len(r) for r in rows] == [4, 3, 3, 4, 3, 3]
        first, second = np.concatenate(rows[:3]), np.concatenate(rows[3:])
        assert sorted(first) == sorted(second) == list(range(10))
        assert list(first) != list(second)

    def test_order_depends_on_the_seed(self):
        orders = []
        for seed in (0, 1):
            cases = Cases(10)
            train(Slope(), Sources(cases), Training(epochs=1), random_state=seed)
            orders.append(cases.asked[0][0])
        assert orders[0] != orders[1]

    def test_half_precision_reaches_the_model_on_one_device(self):
        model, seen = vae(), []
        model.mean.register_forward_hook(lambda *a: seen.append(a[-1].dtype))
        training = Training(epochs=1, precision="bf16-mixed")
        trained = train(model, Sources(Cases(4)), training)
        assert set(seen) == {torch.bfloat16}
        assert model.mean.weight.dtype == torch.float32
        full = train(vae(), Sources(Cases(4)), Training(epochs=1))
        assert totals(trained) == pytest.approx(totals(full), rel=0.02)
        assert totals(trained) != totals(full)

    @pytest.mark.parametrize(
        ("capability", "dtype"), [("AVX512", torch.bfloat16), ("AVX2", torch.float32)]
    )
    def test_half_is_for_processors_that_are_sooner_done(
        self, capability, dtype, monkeypatch
    ):
        monkeypatch.setattr(
            torch.backends.cpu, "get_cpu_capability", lambda: capability
        )
        model, seen = vae(), []
        model.mean.register_forward_hook(lambda *a: seen.append(a[-1].dtype))
        train(model, Sources(Cases(4)), Training(epochs=1, precision="half"))
        assert set(seen) == {dtype}


class TestHistory:
    def test_rows_are_means_over_cases_not_over_minibatches(self):
        cases, model = Cases(7), Squares()
        expected = model.loss(
            cases.minibatch(torch.arange(7), "cpu", augment=False), progress=0
        )
        training = Training(epochs=1, minibatch_size=3, learning_rate=1e-12)
        (row,) = train(model, Sources(cases), training).history
        assert row["total"] == pytest.approx(expected.total.mean().item(), rel=1e-5)
        assert row["error"] == row["total"]
        assert (row["epoch"], row["split"]) == (0, "train")
        assert row["seconds"] > 0

    def test_parts_of_the_loss_and_the_discriminator_are_told_by_split(self):
        model, critic = nonredundant()
        sources = Sources(Cases(8), Cases(5, 1))
        trained = train(model, sources, Training(epochs=2), discriminator=critic)
        assert [(r["epoch"], r["split"]) for r in trained.history] == [
            (0, "train"), (0, "validation"), (1, "train"), (1, "validation"),
        ]  # fmt: skip
        common = {"epoch", "split", "total", "reconstruction", "kl"}
        common |= {"discriminator_loss", "discriminator_accuracy"}
        for row in trained.history:
            other = (
                {"seconds", "mutual_information"} if row["split"] == "train" else set()
            )
            assert set(row) == common | other
            assert 0 <= row["discriminator_accuracy"] <= 1

    def test_validation_is_of_the_model_at_the_end_of_the_epoch(self):
        model, cases = Squares(), Cases(5, 1)
        trained = train(
            model, Sources(Cases(8), cases), Training(epochs=3, minibatch_size=2)
        )
        last = model.loss(
            cases.minibatch(torch.arange(5), "cpu", augment=False), progress=1
        )
        expected = float(last.total.mean().detach())
        assert totals(trained, "validation")[-1] == pytest.approx(expected, rel=1e-5)

    def test_nothing_is_augmented_but_training_steps(self):
        training, validation = Cases(8), Cases(5, 1)
        model, critic = nonredundant()
        settings = Training(epochs=1, minibatch_size=4)
        train(model, Sources(training, validation), settings, discriminator=critic)
        assert not any(augment for _, augment in validation.asked)
        assert sum(augment for _, augment in training.asked) == 2
        assert len(training.asked) > 2  # the phase and the accuracy

    def test_validation_changes_nothing_in_training(self):
        models = []
        for validation in (None, Cases(5, 1)):
            model, critic = nonredundant(dropout=0.2)
            sources = Sources(Cases(8), validation)
            train(model, sources, Training(epochs=3), discriminator=critic)
            models.append(model)
        assert same(*models)


class TestPatience:
    @staticmethod
    def run(patience):
        # w falls by 0.1 or less an epoch; the validation loss is least near -0.35
        def total(w, progress):
            return w if torch.is_grad_enabled() else (w + 0.35) ** 2

        model = Slope(total)
        training = Training(
            epochs=40, learning_rate=0.1, patience=patience, validation_fraction=0.5
        )
        return model, train(model, Sources(Cases(2), Cases(2)), training)

    def test_training_ends_and_the_best_weights_come_back(self):
        model, trained = self.run(3)
        losses = totals(trained, "validation")
        best = int(np.argmin(losses))
        assert trained.best_epoch == best
        assert len(losses) == best + 1 + 3
        assert (model.w.item() + 0.35) ** 2 == pytest.approx(min(losses), abs=1e-6)

    def test_without_it_the_last_weights_stay(self):
        model, trained = self.run(None)
        losses = totals(trained, "validation")
        assert (len(losses), trained.best_epoch) == (40, 39)
        assert model.w.item() == pytest.approx(-cosine(40).sum(), rel=1e-4)

    def test_before_half_of_the_epochs_a_discriminator_has_told_nothing_apart(self):
        # the validation loss is least at the start
        model = Slope(lambda w, progress: w if torch.is_grad_enabled() else w**2)
        critic = Watched(model)
        training = Training(
            epochs=20,
            learning_rate=0.1,
            patience=3,
            validation_fraction=0.5,
            schedule=Schedule(n_steps=1),
        )
        trained = train(
            model, Sources(Cases(4), Cases(4)), training, discriminator=critic
        )
        assert trained.best_epoch == 10
        assert len(totals(trained, "validation")) == 10 + 1 + 3

    def test_without_validation_cases_it_is_refused(self):
        with pytest.raises(RadlatentError, match="patience needs validation cases"):
            train(Slope(), Sources(Cases(4)), Training(patience=3))


class TestAveraging:
    """w goes down by the rate at every step, so that its running mean is known."""

    @staticmethod
    def expected(n, share, rate=0.1):
        moved = -np.cumsum(cosine(n, rate))
        mean = moved[0]
        for w in moved[1:]:
            mean = share * mean + (1 - share) * w
        return mean

    def test_the_trained_model_has_the_mean_of_its_weights(self):
        model = Slope()
        training = Training(epochs=6, learning_rate=0.1, averaging=0.7)
        trained = train(model, Sources(Cases(3)), training)
        assert model.w.item() == pytest.approx(self.expected(6, 0.7), rel=1e-5)
        # steps start from the weights themselves
        steps = -np.diff(totals(trained))
        np.testing.assert_allclose(steps, cosine(6)[:5], rtol=1e-5)

    def test_without_it_the_last_weights_are_taken(self):
        models = [Squares() for _ in range(2)]
        for model, share in zip(models, (0.0, 0.9), strict=True):
            training = Training(epochs=2, learning_rate=0.1, averaging=share)
            train(model, Sources(Cases(9)), training)
        assert not same(*models)

    def test_validation_is_of_the_mean_and_so_are_the_best_weights(self):
        def total(w, progress):
            return w if torch.is_grad_enabled() else (w + 0.35) ** 2

        model = Slope(total)
        training = Training(
            epochs=40,
            learning_rate=0.1,
            patience=3,
            validation_fraction=0.5,
            averaging=0.5,
        )
        trained = train(model, Sources(Cases(2), Cases(2)), training)
        losses = totals(trained, "validation")
        best = int(np.argmin(losses))
        moved = -np.cumsum(cosine(40))
        mean, means = moved[0], [moved[0]]
        for w in moved[1:]:
            mean = 0.5 * mean + 0.5 * w
            means.append(mean)
        expected = (np.array(means[: len(losses)]) + 0.35) ** 2
        np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-7)
        assert model.w.item() == pytest.approx(means[best], rel=1e-5)

    def test_statistics_of_batch_norm_are_averaged_too(self):
        class Normed(Squares):
            def __init__(self):
                super().__init__()
                self.norm = torch.nn.BatchNorm1d(16, affine=False, momentum=1.0)

            def loss(self, minibatch, *, progress):
                z = self.norm(minibatch.x.flatten(1)) @ self.w
                return Loss(z**2, {"z": z**2}, z[:, None])

        cases, model = Cases(6), Normed()
        train(model, Sources(cases), Training(epochs=2, averaging=0.25))
        # the same cases in another order: the mean of twice the same
        whole = cases.x.flatten(1).mean(dim=0)
        torch.testing.assert_close(model.norm.running_mean, whole)

    def test_a_training_that_was_killed_goes_on_with_its_mean(self):
        training = Training(
            epochs=6, minibatch_size=3, learning_rate=0.1, averaging=0.8
        )
        whole, kept = Squares(), []
        train(
            whole,
            Sources(Cases(9)),
            training,
            checkpoint=Checkpoint(keep=kept.append),
        )
        again = Squares()
        start = Checkpoint(start=kept[2])
        train(again, Sources(Cases(9)), training, checkpoint=start)
        assert same(whole, again)


class TestSchedules:
    def test_phases_train_the_discriminator_on_all_cases_while_the_model_stands(self):
        model = Slope()
        critic = Watched(model)
        schedule = Schedule(every=2, n_steps=5)
        training = Training(epochs=3, minibatch_size=4, schedule=schedule)
        train(model, Sources(Cases(10)), training, discriminator=critic)
        trained = [call for call in critic.calls if call["trains"]]
        # true and shuffled pairs, five steps, in epochs 0 and 2
        assert [call["n"] for call in trained] == [10] * 20
        assert not any(call["reaches_model"] for call in trained)
        assert len({call["w"] for call in trained[:10]}) == 1
        assert len({call["w"] for call in trained[10:]}) == 1
        assert trained[0]["w"] != trained[10]["w"]

    def test_steps_train_it_on_every_minibatch(self):
        model = Slope()
        critic = Watched(model)
        training = Training(epochs=2, minibatch_size=4, schedule=Schedule("steps"))
        train(model, Sources(Cases(10)), training, discriminator=critic)
        trained = [call for call in critic.calls if call["trains"]]
        assert [call["n"] for call in trained] == [4, 4, 3, 3, 3, 3] * 2
        assert not any(call["reaches_model"] for call in trained)

    @pytest.mark.parametrize(
        ("schedule", "n_steps"),
        [(Schedule(every=2, n_steps=5), 15), (Schedule("steps"), 15)],
    )
    def test_number_of_steps(self, schedule, n_steps):
        model, critic = nonredundant()
        states = []
        training = Training(epochs=5, minibatch_size=4, schedule=schedule)
        train(
            model,
            Sources(Cases(10)),
            training,
            discriminator=critic,
            checkpoint=Checkpoint(keep=states.append),
        )
        tensors = states[-1].tensors
        assert int(tensors["critic_optimizer/0/step"]) == n_steps
        assert int(tensors["optimizer/0/step"]) == 15

    def test_loss_of_the_model_leaves_the_discriminator_alone(self):
        model, critic = nonredundant(kappa=100.0)
        states = []
        training = Training(epochs=4, schedule=Schedule(every=100, n_steps=3))
        train(
            model,
            Sources(Cases(10)),
            training,
            discriminator=critic,
            checkpoint=Checkpoint(keep=states.append),
        )
        for name in states[0].tensors:
            moved = not torch.equal(states[0].tensors[name], states[3].tensors[name])
            if name.startswith("critic/"):
                assert not moved
            elif name == "model/decoder.last.weight":
                assert moved
        assert all(p.requires_grad for p in critic.parameters())

    def test_gradient_reaches_the_model_through_the_discriminator(self):
        weights = []
        for kappa in (1e-6, 100.0):
            model, critic = nonredundant(kappa=kappa)
            train(model, Sources(Cases(10)), Training(epochs=2), discriminator=critic)
            weights.append(model.mean.weight.detach().clone())
        assert not torch.allclose(*weights, atol=1e-4)

    def test_one_case_cannot_be_shuffled(self):
        model, critic = nonredundant()
        with pytest.raises(RadlatentError, match="1 training cases; give 2 or more"):
            train(model, Sources(Cases(1)), Training(), discriminator=critic)

    def test_a_case_left_over_is_no_step_of_the_discriminator(self):
        model = Slope()
        critic = Watched(model)
        training = Training(epochs=1, minibatch_size=2, schedule=Schedule("steps"))
        train(model, Sources(Cases(3)), training, discriminator=critic)
        assert [call["n"] for call in critic.calls if call["trains"]] == [2, 2]


class TestDeterminism:
    @pytest.mark.parametrize("kind", ["vae", "phases", "steps"])
    def test_one_seed_is_one_training(self, kind):
        outcomes = [self.run(kind, seed)[:2] for seed in (1, 1, 2)]
        (first, model), (second, twin), (third, other) = outcomes
        assert told(first) == told(second)
        assert same(model, twin)
        assert told(first) != told(third)
        assert not same(model, other)

    @staticmethod
    def run(kind, seed=0, *, start=None, patience=None):
        model, critic = nonredundant(dropout=0.3)
        if kind == "vae":
            model, critic = vae(dropout=0.3), None
        states = []
        schedule = Schedule("steps" if kind == "steps" else "phases", 2, 3)
        training = Training(epochs=5, minibatch_size=4, schedule=schedule)
        training = replace(
            training, patience=patience, validation_fraction=0.3, learning_rate=0.01
        )
        trained = train(
            model,
            Sources(Cases(10), Cases(6, 1)),
            training,
            discriminator=critic,
            random_state=seed,
            checkpoint=Checkpoint(start, states.append),
        )
        return trained, model, states, critic

    @pytest.mark.parametrize("patience", [None, 1])
    @pytest.mark.parametrize("kind", ["vae", "phases", "steps"])
    def test_going_on_from_any_epoch_gives_the_same_to_the_last_bit(
        self, kind, patience
    ):
        whole, model, states, critic = self.run(kind, patience=patience)
        for state in states:
            trained, twin, _, other = self.run(kind, start=state, patience=patience)
            assert told(trained) == told(whole)
            assert trained.best_epoch == whole.best_epoch
            assert same(model, twin)
            assert critic is None or same(critic, other)

    def test_generators_of_the_caller_are_left_alone(self):
        before = torch.get_rng_state()
        model, critic = nonredundant(dropout=0.3)
        train(model, Sources(Cases(6)), Training(epochs=1), discriminator=critic)
        assert torch.equal(before, torch.get_rng_state())

    def test_model_is_left_in_evaluation(self):
        model = vae()
        train(model, Sources(Cases(4)), Training(epochs=1))
        assert not model.training


class TestRefusals:
    def test_divergence_names_the_epoch_and_the_rate(self):
        with pytest.raises(RadlatentError, match=r"in epoch \d.*learning_rate.*1e\+30"):
            train(vae(), Sources(Cases(8)), Training(epochs=9, learning_rate=1e30))

    def test_gradients_that_are_not_finite_are_a_divergence_too(self):
        model = Slope(
            lambda w, progress: torch.sqrt(w)
        )  # its gradient at 0 is infinite
        with pytest.raises(RadlatentError, match="diverged: in epoch 1"):
            train(model, Sources(Cases(2)), Training(epochs=3))

    def test_last_good_weights_are_kept(self):
        """w goes down by the rate, until the loss of epoch 2 is the root of minus w."""
        rate = Training().learning_rate
        model = Slope(lambda w, progress: w if progress < 0.5 else torch.sqrt(w))
        kept = []
        with pytest.raises(RadlatentError, match=r"epoch 2.*good weights, of epoch 1"):
            train(
                model,
                Sources(Cases(2)),
                Training(epochs=4),
                checkpoint=Checkpoint(keep=kept.append),
            )
        assert model.w.item() == pytest.approx(-cosine(4, rate)[:2].sum(), rel=1e-4)
        assert torch.equal(model.w.detach(), kept[-1].tensors["model/w"])
        assert not model.training

    def test_weights_that_the_last_step_spoilt_are_not_the_good_ones(self):
        model = Slope(lambda w, progress: torch.sqrt(w))
        with pytest.raises(RadlatentError, match="good weights, those it began with"):
            train(model, Sources(Cases(2)), Training(epochs=3))
        assert model.w.item() == 0

    def test_unknown_device(self):
        with pytest.raises(RadlatentError, match="device 'abacus'"):
            train(vae(), Sources(Cases(4)), Training(device="abacus"))

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_absent_gpu(self):
        with pytest.raises(RadlatentError, match=r"device 'cuda'.*Give device='cpu'"):
            train(vae(), Sources(Cases(4)), Training(device="cuda"))

    def test_settings_of_the_optimizer(self):
        faulty = Training(optimizer="adam", eps=0.0, floor=-1.0, warm_up_epochs=-1)
        found = "; ".join(faulty.problems())
        assert "optimizer is 'adam'; give one of ('adamw', 'adamax')" in found
        assert "eps is 0.0; give a number above 0" in found
        assert "floor is -1.0; give 0 or more" in found
        assert "warm_up_epochs is -1; give 0 or more" in found

    def test_settings_are_found_faulty_together(self):
        schedule = Schedule("phrases", every=0, learning_rate=0.0, noise=-1.0)
        training = Training(
            epochs=0,
            minibatch_size=2.5,
            learning_rate=-1.0,
            weight_decay=-1.0,
            clip_norm=float("nan"),
            patience=0,
            validation_fraction=1.0,
            averaging=1.0,
            schedule=schedule,
            n_devices=0,
        )
        with pytest.raises(RadlatentError) as caught:
            train(vae(), Sources(Cases(4), Cases(4)), training)
        for name in (
            "epochs is 0", "minibatch_size is 2.5", "learning_rate is -1.0",
            "weight_decay is -1.0", "clip_norm is nan", "patience is 0",
            "validation_fraction is 1.0", "averaging is 1.0", "n_devices is 0",
            "kind is 'phrases'",
            "every is 0", "schedule: learning_rate is 0.0", "noise is -1.0",
        ):  # fmt: skip
            assert name in str(caught.value)

    def test_minibatches_of_one_case_cannot_train_a_discriminator(self):
        model, critic = nonredundant()
        training = Training(minibatch_size=1, schedule=Schedule("steps"))
        with pytest.raises(RadlatentError, match="two or more cases"):
            train(model, Sources(Cases(4)), training, discriminator=critic)


class Heavy(Slope):
    """A model for which the memory is full above some cases."""

    def __init__(self, most, method="loss"):
        super().__init__()
        self.most, self.method, self.kept = most, method, []

    def loss(self, minibatch, **kwargs):
        if self.method == "loss":
            self.fill(minibatch)
        return super().loss(minibatch, **kwargs)

    def pairs(self, minibatch):
        if self.method == "pairs":
            self.fill(minibatch)
        return super().pairs(minibatch)

    def fill(self, minibatch):
        assert not any(reference() is not None for reference in self.kept)
        held = torch.ones(3)  # what a step has computed when the memory is full
        self.kept.append(weakref.ref(held))
        if len(minibatch.x) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        del held


class TestMemory:
    @pytest.mark.parametrize(("most", "told"), [(5, 4), (16, 16), (31, 16), (1, 1)])
    def test_message_says_which_half_would_fit(self, most, told):
        training = Training(epochs=1, minibatch_size=32)
        with pytest.raises(RadlatentError) as caught:
            train(Heavy(most), Sources(Cases(32)), training)
        expected = (
            f"32 cases of (1, 4, 4) does not fit in the memory of cpu; {told} would"
        )
        assert expected in str(caught.value)
        assert str(caught.value).endswith(f"Set minibatch_size={told}.")

    def test_message_where_not_one_case_fits(self):
        training = Training(epochs=1, minibatch_size=32)
        with pytest.raises(RadlatentError, match="not one case of"):
            train(Heavy(0), Sources(Cases(32)), training)

    def test_steps_of_the_discriminator_are_watched_too(self):
        model = Heavy(9, "pairs")
        schedule = Schedule("steps")
        training = Training(epochs=1, minibatch_size=32, schedule=schedule)
        with pytest.raises(RadlatentError, match="minibatch_size=8"):
            train(model, Sources(Cases(32)), training, discriminator=Watched(model))

    def test_evaluation_takes_no_more_cases_at_once_than_a_step(self):
        training = Training(epochs=1, minibatch_size=8)
        trained = train(Heavy(8), Sources(Cases(20), Cases(20, 1)), training)
        assert len(trained.history) == 2


DEVICES = """
import sys

import torch

from radlatent.nn import Sources, Training, train

sys.path.insert(0, sys.argv[1])
from test_fit import Cases, Squares, nonredundant  # noqa: E402

model = Squares()
training = Training(epochs=3, minibatch_size=8, learning_rate=0.01)
trained = train(model, Sources(Cases(32), Cases(9, 1)), training)
other, critic = nonredundant()
train(other, Sources(Cases(32)), training, discriminator=critic)
weights = [p.detach() for m in (model, other, critic) for p in m.parameters()]
torch.save(
    {"totals": [r["total"] for r in trained.history], "weights": weights},
    f"{sys.argv[2]}/{torch.distributed.get_rank()}.pt",
)
"""


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path, free_port):
    script = tmp_path / "script.py"
    script.write_text(DEVICES)
    command = [sys.executable, "-m", "lightning.fabric.cli", "--accelerator=cpu"]
    command += ["--devices=2", "--strategy=ddp", f"--main-port={free_port}"]
    folder = os.path.dirname(__file__)
    run = subprocess.run(
        [*command, str(script), folder, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first["totals"] == second["totals"]
    pairs = zip(first["weights"], second["weights"], strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    model = Squares()
    training = Training(epochs=3, minibatch_size=8, learning_rate=0.01)
    trained = train(model, Sources(Cases(32), Cases(9, 1)), training)
    alone = [row["total"] for row in trained.history]
    np.testing.assert_allclose(first["totals"], alone, rtol=1e-5)
    np.testing.assert_allclose(first["weights"][0], model.w.detach(), atol=1e-5)
