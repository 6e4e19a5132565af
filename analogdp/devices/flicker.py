"""Read noise with a 1/f spectrum, which grows with the time since a cell was written."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from analogdp.scenario.quantities import Conductance, Ratio, Time
from analogdp.scenario.settings import Settings


class FlickerNoise(Settings):
    """1/f noise of phase-change memory, as a read of ``read_time`` sees it.

        std = g(t) Q sqrt(ln((t + t0 + t_read) / (2 t_read))),    Q = min(coefficient (g / full_scale)^-power, most)

    g is the programmed conductance and g(t) the present one. Nandakumar et al., ICECS 2019; Joshi et al., Nat. Commun.
    11, 2473 (2020). Two reads at one time are independent draws.
    """

    full_scale: Conductance = Field(
        default=25e-6, gt=0, le=1, description="conductance at which Q is the coefficient, in siemens"
    )
    coefficient: Ratio = Field(default=0.0088, gt=0, le=1, description="Q at full scale")
    power: float = Field(default=0.65, ge=0, le=2, description="how fast Q grows towards low conductance")
    most: Ratio = Field(default=0.2, gt=0, le=1, description="largest Q")
    start: Time = Field(
        default=20.0, gt=0, le=1e9, description="t0: how long after the write itself time 0 is, in seconds"
    )
    read_time: Time = Field(default=250e-9, gt=0, le=1, description="t_read: how long a read integrates, in seconds")

    def variance(self, programmed: Tensor, present: Tensor, age: Tensor) -> Tensor:
        """Variance of a read in siemens^2, for cells programmed to one conductance and now at another, in siemens."""
        share = (programmed / self.full_scale).pow_(-self.power).mul_(self.coefficient).clamp_(max=self.most)
        since = age.to(present.dtype) + (self.start + self.read_time)
        octaves = since.div_(2 * self.read_time).clamp_(min=1.0).log_()
        return share.mul_(present).square_().mul_(octaves)
