import numpy as np
import pytest
import torch
from scipy import stats

from analogdp.dynamics.draws import Blocks, FlatNumbers, OrnsteinUhlenbeck, shared_by_compartments
from analogdp.network import Layout
from analogdp.streams import Stream


def stream(*chips: int) -> Stream:
    return Stream(3, "noise", chips=chips or (0,), dtype=torch.float64)


def at(source, step):
    source.load(step)
    return source.row()


def test_numbers_of_a_step_do_not_depend_on_the_steps_asked_for_before():
    blocks = Blocks(5)
    blocks.start(stream())
    in_order = [at(blocks, step).clone() for step in range(150)]
    for step in (149, 0, 77, 64, 63):
        assert torch.equal(at(blocks, step), in_order[step])
    assert len({float(numbers[0, 0]) for numbers in in_order}) == 150


def test_many_steps_loaded_together_are_those_loaded_one_by_one():
    blocks = Blocks(5)
    blocks.start(stream())
    one_by_one = [at(blocks, step).clone() for step in range(60, 70)]
    blocks.load(60, 10, hold=True)
    for row, numbers in enumerate(one_by_one):
        assert torch.equal(blocks.row(row), numbers)


def test_starting_again_repeats_and_another_stream_differs():
    blocks = Blocks(5)
    blocks.start(stream())
    first = at(blocks, 0).clone()
    blocks.start(stream().at(1))
    assert not torch.equal(at(blocks, 0), first)
    blocks.start(stream())
    assert torch.equal(at(blocks, 0), first)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("common", [0.0, 0.5])
def test_flat_numbers_of_a_chip_are_the_same_alone_and_among_others(count, common):
    together, alone = Layout(2, 3, 4, (5, 6)), Layout(2, 1, 4, (5, 6))
    sources = [FlatNumbers(layout, 2, shared_by_compartments(layout, 2, 1.0, common)) for layout in (together, alone)]
    sources[0].start(stream(7, 8, 9))
    sources[1].start(stream(8))
    for step in (0, 3):
        for source in sources:
            source.load(step, count, hold=count > 1)
        for row in range(count):
            for many, one in zip(sources[0].row(row), sources[1].row(row), strict=True):
                for a, b in zip(together.views(many), alone.views(one), strict=True):
                    assert torch.equal(a[:, 1], b[:, 0])


def test_compartments_share_the_common_part_alone():
    """Variances own^2 + common^2, covariance of the compartments common^2, within 4 error bars of 60,000 numbers."""
    layout = Layout(2, 1, 100, (20, 10))
    numbers = FlatNumbers(layout, 1, shared_by_compartments(layout, 1, 0.3, 0.4))
    numbers.start(stream())
    plus, minus = [], []
    for step in range(20):
        for layer in layout.views(at(numbers, step)[0]):
            plus.append(layer[0].flatten())
            minus.append(layer[1].flatten())
    covariance = np.cov(torch.cat(plus), torch.cat(minus))
    error = 4 * 0.25 * np.sqrt(2 / 60_000)
    assert np.allclose(covariance, [[0.25, 0.16], [0.16, 0.25]], atol=error)


def test_the_two_sets_of_a_step_are_unrelated():
    layout = Layout(2, 1, 100, (50,))
    numbers = FlatNumbers(layout, 2, shared_by_compartments(layout, 2, 0.3, 0.4))
    numbers.start(stream())
    first, second = at(numbers, 0)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(10_000)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_an_ornstein_uhlenbeck_process_is_stationary_from_its_first_moment_on(decay):
    """Kolmogorov and Smirnov's test at the start and after 3 steps; lag-one correlation = decay within 4 error bars."""
    count = 40_000
    process = OrnsteinUhlenbeck(torch.zeros(count, dtype=torch.float64), 0.2, decay)
    process.start(stream().normal((count,))[0])
    values = [process.value.clone()]
    values += [process.advance(stream().at(step).normal((count,))[0]).clone() for step in range(3)]
    for value in (values[0], values[-1]):
        assert stats.kstest(value.numpy(), stats.norm(scale=0.2).cdf).pvalue > 0.01
    assert np.corrcoef(values[2], values[3])[0, 1] == pytest.approx(decay, abs=4 / np.sqrt(count))
