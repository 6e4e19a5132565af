"""What an update writes together: all cells, slab after slab, or the few that get pulses."""

import math

import pytest
import torch

from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings, LocalUpdate, patches

SHAPE = (2, 130, 160)
DEVICES = ["reram_es", "pcm_gst", "gokmen_vlasov"]
STREAM = Stream(3, "patches", (0, 1))


def build(device: str, weights: torch.Tensor | None = None, chips: tuple[int, ...] = (0, 1)) -> Crossbar:
    own = weights if weights is not None else draw(*SHAPE) / 20
    return Crossbar.build(CrossbarSettings.model_validate({"device": device}), own, Stream(3, "cells", chips))


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def update(size: float) -> LocalUpdate:
    return LocalUpdate(size * draw(2, 8, 130), draw(2, 8, 160).abs())


def state(crossbar: Crossbar) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in crossbar.named_buffers()}


def written(crossbar: Crossbar) -> float:
    return (crossbar.write_counts > 0).float().mean().item()


@pytest.mark.parametrize("device", DEVICES)
def test_few_written_cells_change_alone_and_reads_follow_them(device: str) -> None:
    crossbar = build(device)
    before = state(crossbar)
    crossbar.apply_update(update(2e-5), STREAM.at(0))
    touched = crossbar.write_counts.amax(1) > before["write_counts"].amax(1)
    assert 0 < touched.float().mean() < 0.3
    after = state(crossbar)
    assert torch.equal(after["effective"][~touched], before["effective"][~touched])
    for name in ("cell_stored", "cell_visible"):
        if name in before:
            assert torch.equal(after[name].transpose(0, 1)[:, ~touched], before[name].transpose(0, 1)[:, ~touched])
    crossbar.refresh()
    assert torch.equal(crossbar.effective, after["effective"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [2e-5, 1e-2])
def test_a_chip_of_many_cells_ends_with_the_same_bits_alone(device: str, size: float) -> None:
    both = build(device)
    alone = build(device, (draw(*SHAPE) / 20)[1:], (1,))
    one = update(size)
    # The neighbour is written everywhere.
    one.post[0] = 1e-2 * draw(8, 130)
    together = both.apply_update(one, STREAM.at(0))
    single = alone.apply_update(LocalUpdate(one.post[1:], one.pre[1:]), Stream(3, "patches", (1,)).at(0))
    for name, buffer in state(alone).items():
        assert torch.equal(state(both)[name][1:], buffer), name
    assert together.pulses_up[1] == single.pulses_up[0]


@pytest.mark.parametrize("device", DEVICES)
def test_gathered_cells_are_written_as_often_and_as_far_as_all(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for share in (0.3, 0.0):
        monkeypatch.setattr(patches, "_FEW", share)
        crossbar = build(device)
        before = crossbar.weights.clone()
        report = crossbar.apply_update(update(2e-5), STREAM.at(0))
        results.append((report, crossbar.weights - before, crossbar.write_counts.clone()))
    (few, moved, counts), (all_cells, others, other_counts) = results
    assert torch.equal(counts, other_counts)
    torch.testing.assert_close((few.pulses_up, few.pulses_down), (all_cells.pulses_up, all_cells.pulses_down))
    # The same pulses with other dice: the spread of a change has a standard error of its own.
    error = math.hypot(moved.std().item(), others.std().item()) / math.sqrt(moved.numel())
    assert moved.mean().item() == pytest.approx(others.mean().item(), abs=5 * error)
    if few.energy is not None and all_cells.energy is not None:
        pulses = (few.pulses_up + few.pulses_down).min().item()
        torch.testing.assert_close(few.energy, all_cells.energy, rtol=5 / math.sqrt(pulses), atol=0.0)


def test_slabs_of_all_lines_are_written_with_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_SLAB_CELLS", 160 * 40)
    crossbar = build("gokmen_vlasov", torch.zeros(SHAPE))
    one = update(0.0)
    one.post[:], one.pre[:] = 1e-2, 1.0
    crossbar.apply_update(one, STREAM.at(0))
    weights = crossbar.weights
    first, second = weights[:, :40].flatten(), weights[:, 40:80].flatten()
    correlation = torch.corrcoef(torch.stack((first, second)))[0, 1].item()
    assert abs(correlation) < 5 / math.sqrt(first.numel())
    assert (weights != 0).float().mean() > 0.99


def test_blocks_of_lines_bound_the_memory_of_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_BLOCK_CELLS", 160 * 50)
    crossbar = build("gokmen_vlasov")
    assert [block.stop - block.start for block in crossbar._blocks()] == [50, 50, 30]
    crossbar.apply_update(update(1e-2), STREAM.at(0))
    assert written(crossbar) > 0.9
