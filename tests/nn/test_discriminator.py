import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.discriminator import (  # noqa: E402
    Discriminator,
    accuracy,
    discriminator_loss,
    mutual_information,
    shuffled,
)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def bivariate(n, rho):
    first, noise = torch.randn(n, 1), torch.randn(n, 1)
    return first, rho * first + (1 - rho**2) ** 0.5 * noise


def trained(first, second, steps=300):
    discriminator = Discriminator(1, 1, width=32)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = discriminator_loss(
            discriminator(first, second), discriminator(first, shuffled(second))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return discriminator


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_mean_logit_of_true_pairs_is_the_mutual_information(rho):
    discriminator = trained(*bivariate(4000, rho))
    first, second = bivariate(20_000, rho)
    with torch.no_grad():
        logits = discriminator(first, second)
    # Gaussian: I = -1/2 log(1 - rho^2), 0.511 nats at 0.8; 4000 pairs and 32 units
    # leave an error of some hundredths
    assert logits.mean().item() == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.05)


def test_logit_is_the_log_density_ratio_point_by_point():
    rho = 0.8
    discriminator = trained(*bivariate(4000, rho))
    first, second = (v[:, 0].numpy() for v in bivariate(2000, rho))
    square = (first**2 - 2 * rho * first * second + second**2) / (1 - rho**2)
    ratio = -0.5 * np.log(1 - rho**2) - 0.5 * square + 0.5 * (first**2 + second**2)
    with torch.no_grad():
        logits = discriminator(*(torch.tensor(v)[:, None] for v in (first, second)))
    assert np.corrcoef(logits.numpy(), ratio)[0, 1] > 0.97


def test_accuracy_is_chance_for_independent_vectors_and_more_for_dependent_ones():
    found = {}
    for rho in (0.0, 0.8):
        discriminator = trained(*bivariate(4000, rho), steps=150)
        first, second = bivariate(20_000, rho)
        found[rho] = accuracy(
            discriminator(first, second), discriminator(first, shuffled(second))
        )
    assert found[0.0].item() == pytest.approx(0.5, abs=0.02)
    assert found[0.8] > 0.65


def test_accuracy_counts_both_kinds_of_pairs_equally():
    true, false = torch.tensor([1.0, 2, -1, 3]), torch.tensor([-1.0, 1.0])
    assert accuracy(true, false).item() == 0.5 * (0.75 + 0.5)


@pytest.mark.parametrize("n", [2, 3, 50])
def test_shuffling_moves_every_row_and_uses_each_once(n):
    rows = torch.arange(n)[:, None].repeat(1, 2)
    for _ in range(100):
        moved = shuffled(rows)
        assert torch.all(moved[:, 0] != rows[:, 0])
        assert torch.equal(moved[:, 0], moved[:, 1])
        assert torch.equal(moved[:, 0].sort().values, rows[:, 0])
    assert torch.equal(rows[:, 0], torch.arange(n))


def test_shuffling_pairs_every_two_rows_as_often():
    n, n_draws = 4, 3000
    counts = torch.zeros(n, n)
    for _ in range(n_draws):
        counts[torch.arange(n), shuffled(torch.arange(n))] += 1
    others = ~torch.eye(n, dtype=bool)
    # five standard deviations of a share of 1/3 in 3000 draws
    assert (counts[others] / n_draws).tolist() == pytest.approx([1 / 3] * 12, abs=0.043)


def test_one_row_cannot_be_shuffled():
    with pytest.raises(ValueError, match="1 row cannot be paired"):
        shuffled(torch.zeros(1, 3))


def test_penalty_of_huge_logits_is_the_logit():
    logits = torch.tensor([-1e30, -200.0, 0.0, 200.0, 1e30], requires_grad=True)
    penalty = mutual_information(logits)
    penalty.sum().backward()
    assert torch.equal(penalty.detach(), logits.detach().clamp(min=0))
    assert logits.grad.tolist() == [0, 0, 0, 1, 1]


def test_loss_of_a_blind_discriminator_is_log_two_and_of_a_sure_one_finite():
    blind = discriminator_loss(torch.zeros(5), torch.zeros(5))
    assert blind.item() == pytest.approx(np.log(2), abs=1e-6)
    wrong = discriminator_loss(torch.full((4,), -200.0), torch.full((4,), 200.0))
    assert wrong.item() == pytest.approx(200, rel=1e-6)


def test_logits_have_one_value_a_pair_and_depend_on_both_vectors():
    discriminator = Discriminator(3, 2)
    first, second = torch.randn(6, 3), torch.randn(6, 2)
    logits = discriminator(first, second)
    assert logits.shape == (6,)
    assert not torch.allclose(logits, discriminator(first + 1, second))
    assert not torch.allclose(logits, discriminator(first, second + 1))
