import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.distributions import (  # noqa: E402
    diagonal_normal,
    divergence,
    log_variance_of,
    standard_normal_like,
)


def tensors(*rows):
    return [torch.tensor(row, dtype=torch.float32) for row in rows]


def closed_form(mean, log_variance, prior_variance=1.0):
    ratio = (mean**2 + np.exp(log_variance)) / prior_variance
    return 0.5 * np.sum(ratio - 1 - log_variance + np.log(prior_variance), axis=1)


@pytest.mark.parametrize(
    ("mean", "log_variance", "nats"),
    [
        ([[0.0]], [[0.0]], 0.0),
        ([[1.0]], [[0.0]], 0.5),
        ([[1.0, -2.0, 0.0]], [[0.0, 0.0, 0.0]], 2.5),
    ],
)
def test_divergence_of_unit_variances_is_half_the_squared_mean(
    mean, log_variance, nats
):
    posterior = diagonal_normal(*tensors(mean, log_variance))
    assert divergence(posterior).tolist() == pytest.approx([nats], abs=1e-6)


@pytest.mark.parametrize("prior_variance", [1.0, 0.05, 4.0])
def test_divergence_is_the_closed_form(rng, prior_variance):
    mean, asked = rng.normal(size=(5, 7)), rng.normal(size=(5, 7))
    posterior = diagonal_normal(*tensors(mean, asked))
    bent = 10 * np.tanh(asked / 10)
    prior = standard_normal_like(posterior, variance=prior_variance)
    # float32 sums of numbers up to 1e3
    assert divergence(posterior, prior).numpy() == pytest.approx(
        closed_form(mean, bent, prior_variance), rel=1e-5
    )


def test_divergence_from_itself_is_zero_and_has_a_row_each(rng):
    posterior = diagonal_normal(*tensors(rng.normal(size=(3, 2)), np.ones((3, 2))))
    assert divergence(posterior, posterior).tolist() == [0.0] * 3


def test_log_variances_are_bent_into_ten(rng):
    asked = torch.tensor([[-1e6, -1.7, -0.5, 0.0, 0.5, 1.7, 1e6]])
    found = log_variance_of(diagonal_normal(torch.zeros_like(asked), asked))[0]
    assert found[[0, -1]].tolist() == pytest.approx([-10, 10], abs=1e-4)
    middle = found[1:-1].numpy()
    assert middle == pytest.approx(asked[0, 1:-1].numpy(), rel=0.01, abs=1e-6)
    assert torch.all(found.diff() > 0)


def test_huge_log_variances_give_finite_divergence_and_gradient():
    mean = torch.full((1, 2), 3.0, requires_grad=True)
    log_variance = torch.tensor([[-80.0, 80.0]], requires_grad=True)
    divergence(diagonal_normal(mean, log_variance)).sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(log_variance.grad).all()


def test_half_precision_becomes_single():
    half = torch.full((2, 3), 0.5, dtype=torch.bfloat16)
    posterior = diagonal_normal(half, half)
    assert posterior.mean.dtype == posterior.rsample().dtype == torch.float32


def test_draws_have_the_mean_and_the_variance():
    mean = torch.tensor([[2.0, -1.0]])
    posterior = diagonal_normal(mean, torch.tensor([[0.0, -1.0]]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = posterior.rsample((20_000,))[:, 0]
    # five standard errors of a mean and of a variance of 20 000 draws
    assert draws.mean(0).tolist() == pytest.approx([2, -1], abs=0.036)
    wanted = [1, np.exp(10 * np.tanh(-0.1))]
    assert draws.var(0).tolist() == pytest.approx(wanted, rel=0.05)
