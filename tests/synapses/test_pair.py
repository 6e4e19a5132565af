"""Weights of two sets read as their difference, and each set moves as updates for it say."""

import pytest
import torch
from torch import Tensor

from analogdp.streams import Stream
from analogdp.synapses import LocalUpdate, PairSynapse
from analogdp.synapses.base import Polarity
from analogdp.synapses.pair import PairSettings

STREAM = Stream(0, "synapse", (0, 1))
SHARES: dict[Polarity, tuple[float, float]] = {"both": (0.5, -0.5), "plus": (1.0, 0.0), "minus": (0.0, -1.0)}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


WEIGHTS = draw(2, 5, 7)
DECAY = torch.rand(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def update(polarity: Polarity = "both", seed: int = 1, decay: Tensor | None = DECAY) -> LocalUpdate:
    return LocalUpdate(0.1 * draw(2, 3, 5, seed=seed), draw(2, 3, 7, seed=seed + 1), decay, polarity)


def build(non_negative: bool = False) -> PairSynapse:
    return PairSynapse.build(PairSettings(non_negative=non_negative), WEIGHTS, STREAM)


@pytest.mark.parametrize("non_negative", [False, True])
def test_reads_are_products_with_the_difference_of_the_sets(non_negative: bool) -> None:
    synapse, x, e, bias = build(non_negative), draw(2, 3, 7), draw(2, 3, 5), draw(2, 1, 5)
    synapse.apply_update(update("minus"), STREAM)
    weights = synapse.weight[:, 0] - synapse.weight[:, 1]
    torch.testing.assert_close(synapse(x, bias), torch.einsum("coi,cbi->cbo", weights, x) + bias)
    torch.testing.assert_close(synapse.backward_read(e), torch.einsum("coi,cbo->cbi", weights, e))
    torch.testing.assert_close(synapse.contributions().sum(1), weights)


def test_signed_sets_start_as_the_weights_and_nothing() -> None:
    assert torch.equal(build().weight.data, torch.stack((WEIGHTS, torch.zeros_like(WEIGHTS)), 1))


def test_non_negative_sets_start_as_the_positive_and_the_negative_weights() -> None:
    synapse = build(non_negative=True)
    assert torch.equal(synapse.weights, WEIGHTS)
    assert torch.equal(synapse.weight.data, torch.stack((WEIGHTS.clamp(min=0), -WEIGHTS.clamp(max=0)), 1))


@pytest.mark.parametrize("polarity", list(SHARES))
def test_an_update_fades_the_sets_it_is_for_and_gives_them_their_share_of_the_change(polarity: Polarity) -> None:
    synapse, asked = build(), update(polarity)
    expected = synapse.weight.data.clone()
    change = torch.einsum("cbo,cbi->coi", asked.post, asked.pre)
    for number, share in enumerate(SHARES[polarity]):
        if share:
            expected[:, number] = (1 - DECAY[..., None]) * expected[:, number] + share * change
    synapse.apply_update(asked, STREAM)
    torch.testing.assert_close(synapse.weight.data, expected)


@pytest.mark.parametrize("polarity", list(SHARES))
def test_without_decay_the_weights_change_as_asked(polarity: Polarity) -> None:
    synapse, asked = build(), update(polarity, decay=None)
    synapse.apply_update(asked, STREAM)
    torch.testing.assert_close(synapse.weights, WEIGHTS + torch.einsum("cbo,cbi->coi", asked.post, asked.pre))


def test_descending_the_gradient_of_updates_is_making_them_at_the_rate() -> None:
    descended, updated = build(), build()
    optimizer = torch.optim.SGD([descended.parameter], lr=0.2)
    descended.add_gradient(update("both", seed=5), fresh=True)
    for fresh, polarity in ((True, "plus"), (False, "minus")):
        descended.add_gradient(update(polarity), fresh)
        updated.apply_update(update(polarity).times(0.2), STREAM)
    optimizer.step()
    descended.constrain()
    torch.testing.assert_close(descended.weights, updated.weights)


@pytest.mark.parametrize("polarity", list(SHARES))
def test_non_negative_sets_stop_at_zero(polarity: Polarity) -> None:
    signed, synapse = build(), build(non_negative=True)
    signed.weight.data.copy_(synapse.weight.data)
    for seed in range(20):
        asked = update(polarity, seed, decay=None)
        signed.weight.data.copy_(synapse.weight.data)
        for each in (signed, synapse):
            each.apply_update(asked, STREAM)
        assert signed.weight.min() < 0
        assert torch.equal(synapse.weight.data, signed.weight.data.clamp(min=0))


def test_a_restored_pair_reads_the_same_bits() -> None:
    synapse, other = build(), build()
    synapse.apply_update(update("plus"), STREAM)
    other.load_state_dict(synapse.state_dict())
    assert torch.equal(synapse(draw(2, 3, 7)), other(draw(2, 3, 7)))


def test_reads_stay_at_their_place_in_memory_for_graphs_that_were_captured() -> None:
    synapse = build()
    place = synapse.weights.data_ptr()
    synapse.apply_update(update("plus"), STREAM)
    assert synapse.weights.data_ptr() == place


def test_a_pair_moves_with_its_network_to_another_type() -> None:
    synapse = build().to(torch.float32)
    synapse.apply_update(LocalUpdate(*(part.float() for part in update()[:2])), STREAM)
    assert synapse(draw(2, 3, 7).float()).dtype == torch.float32
