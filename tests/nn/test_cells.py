"""The cells of an NVAE, and the norms that keep them smooth."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from radlatent.nn.cells import (  # noqa: E402
    Cell,
    SpectralNorms,
    activated,
    gamma_norm,
)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


@pytest.mark.parametrize("is_depthwise", [False, True])
def test_cell_adds_a_tenth_of_its_gated_layers(is_depthwise):
    cell = Cell(8, is_depthwise=is_depthwise).eval()
    x = torch.randn(2, 8, 5, 5)
    found = cell.layers(x)
    gate = torch.stack([cell.excitation(each.mean(dim=(1, 2))) for each in found])
    expected = x + 0.1 * gate[:, :, None, None] * found
    torch.testing.assert_close(cell(x), expected)
    assert ((gate > 0) & (gate < 1)).all()
    groups = {m.groups for m in cell.modules() if isinstance(m, nn.Conv2d)}
    # the depthwise one has a convolution of 5 x 5 on six times the channels
    assert groups == ({1, 48} if is_depthwise else {1})


def test_spectral_norms_are_the_largest_singular_values():
    convolutions = [nn.Conv2d(6, 5, 3), nn.Conv2d(6, 5, 3), nn.Conv2d(4, 7, 1)]
    norms = SpectralNorms(convolutions)
    for _ in range(30):
        found = norms(convolutions)
    matrices = [each.weight.detach().flatten(1) for each in convolutions]
    expected = sum(torch.linalg.matrix_norm(matrix, 2) for matrix in matrices)
    # the power iteration has converged
    torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=0)
    found.backward()
    for each, matrix in zip(convolutions, matrices, strict=True):
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        # d s1 / dW = u1 v1'
        gradient = each.weight.grad.flatten(1)
        torch.testing.assert_close(
            gradient, left[:, :1] @ right[:1], rtol=0.05, atol=0.01
        )


def test_spectral_norms_stand_still_in_evaluation():
    convolutions = [nn.Conv2d(3, 4, 3)]
    norms = SpectralNorms(convolutions)
    norms(convolutions)
    assert norms.n_calls == 1
    before = norms.right_0.clone()
    norms.eval()(convolutions)
    assert norms.n_calls == 1
    assert torch.equal(norms.right_0, before)


def test_gamma_norm_is_the_sum_of_the_largest_scales():
    model = nn.Sequential(activated(3), activated(2))
    with torch.no_grad():
        model[0][0].weight.copy_(torch.tensor([0.5, -3.0, 1.0]))
        model[1][0].weight.copy_(torch.tensor([0.25, 0.125]))
    assert gamma_norm(model).item() == 3.25
