import pytest
import torch
from scipy.optimize import minimize, root

from analogdp import registry
from analogdp.neurons import CrossEntropy, LeastSquares

LOSSES = [LeastSquares(), CrossEntropy()]


def samples(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = 2 * torch.randn(1, 7, 5, generator=generator, dtype=torch.float64)
    y = torch.eye(5, dtype=torch.float64)[torch.randint(5, (7,), generator=generator)].unsqueeze(0)
    return a, y


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_gradient_is_that_of_autograd(loss):
    s, y = samples()
    s.requires_grad_()
    (gradient,) = torch.autograd.grad(loss.value(s, y).sum(), s)
    torch.testing.assert_close(loss.gradient(s, y), gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("step", [0.01, 0.3, 1.0, 5.0])
def test_a_proximal_step_down_is_scipys_minimum(loss, step):
    a, y = samples()
    ours = loss.proximal(a, y, step)

    def energy(s, row):
        s = torch.as_tensor(s).view(1, 1, -1)
        return float(step * loss.value(s, y[:, row : row + 1]) + (s - a[:, row : row + 1]).square().sum() / 2)

    for row in range(a.shape[1]):
        theirs = minimize(energy, a[0, row].numpy(), args=(row,), method="BFGS", options={"gtol": 1e-9})
        torch.testing.assert_close(ours[0, row], torch.as_tensor(theirs.x), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("loss", "step"), [(LeastSquares(), -0.9), (CrossEntropy(), -0.5), (CrossEntropy(), -0.95)])
def test_a_proximal_step_up_solves_its_equation(loss, step):
    a, y = samples()
    ours = loss.proximal(a, y, step)
    torch.testing.assert_close(ours, a - step * loss.gradient(ours, y), rtol=0, atol=1e-11)
    row = torch.as_tensor(root(lambda s: _equation(loss, s, a[0, 0], y[0, 0], step), a[0, 0].numpy(), tol=1e-12).x)
    torch.testing.assert_close(ours[0, 0], row, rtol=0, atol=1e-8)


def _equation(loss, s, a, y, step):
    s = torch.as_tensor(s)
    return (s - a + step * loss.gradient(s, y)).numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 5.0, 20.0], ids=lambda scale: f"drives of {scale:g}")
@pytest.mark.parametrize("step", [-0.99, -0.5, 0.1, 1.0, 5.0])
def test_the_cross_entropys_step_is_solved_to_rounding_wherever_the_softmax_saturates(step, scale, dtype):
    generator = torch.Generator().manual_seed(1)
    a = scale * torch.randn(1, 2000, 10, generator=generator, dtype=dtype)
    y = torch.eye(10, dtype=dtype)[torch.randint(10, (2000,), generator=generator)].unsqueeze(0)
    s = CrossEntropy().proximal(a, y, step)
    residual = (s - a + step * CrossEntropy().gradient(s, y)).abs().max()
    assert residual < 30 * torch.finfo(dtype).eps * (scale + 1) * 5


def test_a_step_may_differ_from_unit_to_unit():
    a, y = samples()
    steps = torch.linspace(0.1, 0.5, 5, dtype=torch.float64)
    together = LeastSquares().proximal(a, y, steps)
    torch.testing.assert_close(together, (a + steps * y) / (1 + steps), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", registry.losses.names())
def test_declared_curvature_bounds_the_hessian(name):
    loss = registry.losses.get(name)()
    s, y = samples()
    for row in range(s.shape[1]):
        hessian = torch.autograd.functional.hessian(
            lambda v, row=row: loss.value(v.view(1, 1, -1), y[:, row : row + 1]).sum(), s[0, row]
        )
        assert torch.linalg.eigvalsh(hessian).max() <= loss.curvature + 1e-12
