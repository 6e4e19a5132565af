"""Named random streams."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from analogdp.streams import Stream, stream


def numbers(of, count=8):
    return of.normal((count,))


def test_the_same_key_gives_the_same_numbers_and_any_other_key_gives_others():
    first = Stream(1, "write")
    assert torch.equal(numbers(first), numbers(Stream(1, "write")))
    others = [Stream(2, "write"), Stream(1, "read"), first.child("x"), first.at(0), first.at(1), first.at(0, 1)]
    drawn = [numbers(first), *map(numbers, others)]
    assert len({tuple(row.flatten().tolist()) for row in drawn}) == len(drawn)


def test_the_numbers_do_not_depend_on_the_hash_seed_of_the_process():
    code = "from analogdp.streams import Stream; print(Stream(3, 'a').normal((4,)).tolist())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1


def test_a_chip_alone_draws_what_it_draws_among_others():
    together = Stream(1, "write", chips=(0, 3, 7)).at(5)
    alone = Stream(1, "write", chips=(3,)).at(5)
    assert torch.equal(together.normal((2, 4))[1], alone.normal((2, 4))[0])
    assert torch.equal(together.uniform((9,))[1], alone.uniform((9,))[0])


def test_no_draw_touches_or_follows_the_global_generators():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = numbers(Stream(1, "write"))
    Stream(1, "write").permutation(10)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    torch.manual_seed(1)
    assert torch.equal(numbers(Stream(1, "write")), first)


def test_a_result_buffer_is_filled_in_place_with_the_same_numbers():
    own = Stream(1, "write", chips=(0, 1))
    buffer = torch.empty(2, 6)
    assert own.normal((6,), out=buffer) is buffer
    assert torch.equal(buffer, own.normal((6,)))


def test_shared_draws_are_the_same_whatever_the_chips_are():
    one, many = Stream(1, "order", chips=(4,)), Stream(1, "order", chips=(0, 1, 2))
    assert torch.equal(one.shared().normal((5,)), many.shared().normal((5,)))
    assert torch.equal(one.permutation(20), many.permutation(20))
    assert sorted(one.permutation(20).tolist()) == list(range(20))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_have_the_wanted_type_and_distribution(dtype):
    own = Stream(9, "test", chips=(0, 1), dtype=dtype)
    normal, uniform = own.normal((20_000,)), own.at(1).uniform((20_000,))
    assert normal.dtype == uniform.dtype == dtype
    # Kolmogorov-Smirnov at fixed seeds: fails for a wrong distribution or correlated chips, never by chance.
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(normal.numpy())[0, 1]) < 4 / np.sqrt(20_000)


def test_neighbouring_seeds_and_indices_are_unrelated():
    rows = [torch.randn(5000, generator=stream(seed, "a", index)) for seed in (0, 1) for index in (0, 1)]
    correlations = np.corrcoef(np.stack(rows)) - np.eye(4)
    assert np.abs(correlations).max() < 4 / np.sqrt(5000)


def runs_together():
    """Two chips of a run with seed 4, and one of a run with seed 9."""
    return Stream((4, 4, 9), "write", chips=(0, 1, 0)).at(5)


def test_chips_of_several_runs_draw_what_each_run_draws_by_itself():
    first, second = (Stream(seed, "write", chips=chips).at(5) for seed, chips in ((4, (0, 1)), (9, (0,))))
    for draw in (Stream.normal, Stream.uniform):
        assert torch.equal(draw(runs_together(), (3,)), torch.cat((draw(first, (3,)), draw(second, (3,)))))


def test_what_the_chips_of_a_run_share_is_drawn_once_for_each_chip_of_several_runs():
    drawn = runs_together().shared().normal((3,))
    wanted = torch.cat([Stream(seed, "write").at(5).shared().normal((3,)) for seed in (4, 4, 9)])
    assert torch.equal(drawn, wanted)


def test_some_of_the_chips_keep_their_seeds():
    last = runs_together().of_chips(slice(2, 3))
    assert torch.equal(last.normal((3,)), Stream(9, "write").at(5).normal((3,)))
    assert torch.equal(last.permutation(9), Stream(9, "write").at(5).permutation(9))


def test_runs_with_different_seeds_have_no_order_in_common():
    with pytest.raises(ValueError, match="no common order"):
        runs_together().permutation(9)
    assert torch.equal(runs_together().of_chips(slice(2)).permutation(9), Stream(4, "write").at(5).permutation(9))
