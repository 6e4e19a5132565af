import pytest
import torch
from torch.autograd import gradcheck

from analogdp.network.pools import KINDS
from analogdp.scenario.wiring import Pool
from tests.network.images import random, torch_pool

SHAPES = [(2, 6, 6), (1, 7, 5), (3, 5, 9)]
WINDOWS = [(2, 2), (2, 1), (3, 2), (2, 3), (1, 1)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "stride"), WINDOWS)
def test_pools_and_what_they_pass_back_are_torchs_and_autograds(kind, shape, size, stride):
    """Square images and others, windows that overlap, that leave pixels out, and that do not divide the image."""
    pool = Pool(kind, size, stride)
    images = random(4, *shape).requires_grad_()
    expected = torch_pool(pool)(images)
    pooling = KINDS[kind](pool, shape)
    pooled, context = pooling.forward(images.detach())
    assert pooled.shape[1:] == pool.of(shape)
    torch.testing.assert_close(pooled, expected.detach(), rtol=1e-12, atol=0)
    messages = random(*pooled.shape, seed=1)
    (gradient,) = torch.autograd.grad(expected, images, messages)
    torch.testing.assert_close(pooling.back(messages, context), gradient, rtol=1e-11, atol=1e-13)


def test_a_quadratic_mean_of_zeros_passes_nothing_back_and_has_a_finite_slope():
    pooling = KINDS["quadratic_mean"](Pool("quadratic_mean", 2, 2), (1, 4, 4))
    images = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    pooled, context = pooling.forward(images)
    back = pooling.back(torch.ones_like(pooled), context)
    assert torch.equal(pooled, torch.zeros_like(pooled))
    assert torch.equal(back, torch.zeros_like(back))
    (pooled.sum() + back.sum()).backward()
    assert torch.equal(images.grad, torch.zeros_like(images))


@pytest.mark.parametrize("kind", KINDS)
def test_at_rest_a_context_of_zeros_passes_nothing_back(kind):
    pooling = KINDS[kind](Pool(kind, 2, 2), (1, 4, 4))
    _, context = pooling.forward(random(1, 1, 4, 4))
    resting = {name: torch.zeros_like(part) for name, part in context.items()}
    assert torch.equal(pooling.back(torch.zeros(1, 1, 2, 2), resting), torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_pooling_and_passing_back_can_be_differentiated(kind):
    pooling = KINDS[kind](Pool(kind, 2, 1), (2, 4, 3))

    def there_and_back(images, messages):
        pooled, context = pooling.forward(images)
        return pooled, pooling.back(messages, context)

    assert gradcheck(there_and_back, (random(2, 2, 4, 3).requires_grad_(), random(2, 2, 3, 2, seed=1).requires_grad_()))
