import pytest
import torch

from analogdp.dynamics.noise import FlatNormals, NormalBlocks, SettlingNoise
from analogdp.network import Field, Layout
from analogdp.scenario.schema import NoiseSettings
from analogdp.streams import Stream


def stream(*chips: int) -> Stream:
    return Stream(3, "noise", chips=chips or (0,), dtype=torch.float64)


def test_numbers_of_a_step_do_not_depend_on_the_steps_asked_for_before():
    blocks = NormalBlocks(5)
    blocks.start(stream())
    in_order = [blocks.at(step).clone() for step in range(150)]
    for step in (149, 0, 77, 64, 63):
        assert torch.equal(blocks.at(step), in_order[step])
    assert len({float(numbers[0, 0]) for numbers in in_order}) == 150


def test_starting_again_repeats_and_another_stream_differs():
    blocks = NormalBlocks(5)
    blocks.start(stream())
    first = blocks.at(0).clone()
    blocks.start(stream().at(1))
    assert not torch.equal(blocks.at(0), first)
    blocks.start(stream())
    assert torch.equal(blocks.at(0), first)


def test_membrane_noise_of_a_chip_is_the_same_alone_and_among_others():
    units = (5, 6)
    together, alone = FlatNormals(Layout(2, 3, 4, units)), FlatNormals(Layout(2, 1, 4, units))
    together.start(stream(7, 8, 9))
    alone.start(stream(8))
    for step in (0, 3):
        many = Layout(2, 3, 4, units).views(together.at(step))
        one = Layout(2, 1, 4, units).views(alone.at(step))
        for a, b in zip(many, one, strict=True):
            assert torch.equal(a[:, 1], b[:, 0])


@pytest.mark.parametrize("decay", [0.0, 0.8])
def test_nudging_strength_fluctuates_with_the_std_and_correlation_asked_for(make_network, decay):
    field = Field(make_network((64, 4, 10)), batch=4000)
    noise = SettlingNoise(field, NoiseSettings(nudging=0.1), decay)
    noise.start(stream(), strength=0.5)
    strengths = []
    for step in range(30):
        assert noise.at(step) is None, "no membrane noise was asked for"
        strengths.append(field.nudging.clone())
    relative = torch.stack(strengths).squeeze(-1).squeeze(1) / 0.5 - 1
    assert relative.std().item() == pytest.approx(0.1, rel=0.02)
    lagged = (relative[1:] * relative[:-1]).mean() / relative.square().mean()
    assert lagged.item() == pytest.approx(decay, abs=0.02)


def test_a_free_network_has_no_nudging_to_fluctuate(make_network):
    field = Field(make_network(), batch=2)
    noise = SettlingNoise(field, NoiseSettings(nudging=0.1), 0.5)
    noise.start(stream(), strength=0.0)
    noise.at(0)
    assert field.nudging == 0.0
