"""What is particular to Yakopcic's model."""

import math

import pytest
import torch

from tests.devices.equations import CASES, YAKOPCIC, cells, yakopcic


def volts(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("voltage", [-0.15, -0.05, 0.0, 0.1, 0.16])
def test_nothing_moves_up_to_the_thresholds(voltage: float) -> None:
    device = CASES["yakopcic"].device()
    assert device.flow(cells(device, (0.2, 0.8)), volts(voltage)).abs().max() == 0


def test_the_current_is_the_published_one() -> None:
    device = CASES["yakopcic"].device(a2=0.1, b=2.0)
    state = cells(device, (0.3,) * 4)
    voltage = volts(-1.0, -1e-5, 0.0, 0.7)
    expected = [a * 0.3 * math.sinh(2 * v) for a, v in zip((0.1, 0.1, 0.17, 0.17), voltage.tolist(), strict=True)]
    torch.testing.assert_close(device.current(state, voltage)[0], volts(*expected), rtol=1e-12, atol=0)


def test_the_conductance_goes_smoothly_through_zero_volts() -> None:
    device = CASES["yakopcic"].device(b=20.0)
    state = cells(device, (0.5,) * 3)
    found = device.conductance(state, volts(0.0, 4.9e-5, 5.1e-5))
    torch.testing.assert_close(found, found[:, :1].expand_as(found), rtol=1e-6, atol=0)


def test_the_largest_voltage_is_finite_in_single_precision() -> None:
    device = CASES["yakopcic"].device()
    state = cells(device, (0.5, 0.5), torch.float32)
    limit = device.largest_voltage
    voltage = torch.tensor([limit, -limit])
    assert torch.isfinite(device.flow(state, voltage)).all()
    assert torch.isfinite(device.current(state, voltage)).all()


@pytest.mark.parametrize("voltage", [-0.4, 0.4])
def test_every_parameter_has_its_place_in_the_motion(voltage: float) -> None:
    parameters = YAKOPCIC | {"a_p": 5000.0, "x_n": 0.2, "alpha_p": 2.0}
    device, shares = CASES["yakopcic"].device(**parameters), (0.1, 0.25, 0.5, 0.75, 0.9)
    expected = [yakopcic(x, voltage, parameters) for x in shares]
    torch.testing.assert_close(device.flow(cells(device, shares), volts(voltage))[0], volts(*expected))
