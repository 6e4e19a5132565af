"""Ideal weights are plain linear algebra."""

import pytest
import torch

from analogdp.errors import InputError
from analogdp.streams import Stream
from analogdp.synapses import IdealSynapse, LocalUpdate
from analogdp.synapses.ideal import IdealSettings

STREAM = Stream(0, "synapse", (0, 1))


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def test_reads_are_products() -> None:
    weights, x, e, bias = draw(2, 5, 7), draw(2, 3, 7), draw(2, 3, 5), draw(2, 1, 5)
    synapse = IdealSynapse.build(IdealSettings(), weights, STREAM)
    torch.testing.assert_close(synapse(x, bias), torch.einsum("coi,cbi->cbo", weights, x) + bias)
    torch.testing.assert_close(synapse.backward_read(e), torch.einsum("coi,cbo->cbi", weights, e))


def test_a_result_buffer_is_used() -> None:
    synapse, out = IdealSynapse(draw(1, 5, 7)), torch.empty(1, 3, 5, dtype=torch.float64)
    assert synapse(draw(1, 3, 7), out=out).data_ptr() == out.data_ptr()


def test_an_update_decays_the_rows_and_adds_the_outer_product() -> None:
    weights, post, pre, decay = draw(2, 5, 7), draw(2, 3, 5), draw(2, 3, 7), draw(2, 5).abs()
    synapse = IdealSynapse(weights)
    report = synapse.apply_update(LocalUpdate(post, pre, decay), STREAM)
    torch.testing.assert_close(
        synapse.weights.data, (1 - decay[..., None]) * weights + torch.einsum("cbo,cbi->coi", post, pre)
    )
    assert report.pulses_up.tolist() == report.pulses_down.tolist() == [0, 0]


def test_the_weights_given_are_copied() -> None:
    weights = draw(1, 5, 7)
    before = weights.clone()
    synapse = IdealSynapse(weights.expand(2, -1, -1))
    synapse.apply_update(LocalUpdate(draw(2, 3, 5), draw(2, 3, 7)), STREAM)
    assert torch.equal(weights, before)


def test_a_rule_that_writes_one_polarity_is_refused() -> None:
    with pytest.raises(InputError, match="pair: balanced"):
        IdealSynapse(draw(1, 5, 7)).apply_update(LocalUpdate(draw(1, 3, 5), draw(1, 3, 7), polarity="plus"), STREAM)


def test_there_are_no_conductances() -> None:
    assert IdealSynapse(draw(1, 5, 7)).conductances() is None


def test_an_optimizer_may_write_the_weights() -> None:
    synapse = IdealSynapse(draw(1, 5, 7))
    assert synapse.parameter is synapse.weight
    assert not IdealSettings.written_by_pulses
    assert synapse.read_time is None
