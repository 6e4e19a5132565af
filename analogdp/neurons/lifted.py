"""Lifted proximal operator machines: the ends of dual propagation, where one compartment is never pushed.

    LPOM (alpha = 1):           sum_k G(s_k) - s_k^T a_k + G*(a_k),  lowered by s+ while s- = f(a)
    inverted LPOM (alpha = 0):  the same of s-, which is pulled away from the label while s+ = f(a)

Their layers are damped, without which they settle only if errors are weak. Li, Fang & Lin 2019; Hoier & Zach 2024, Sec. 3 and
App. F.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from analogdp import registry
from analogdp.neurons.damping import DESCRIPTION, DampingRule
from analogdp.neurons.dyadic import DualPropagation
from analogdp.neurons.dyadic_settings import DualPropagationSettings
from analogdp.scenario.quantities import Ratio


class LpomSettings(DualPropagationSettings):
    """A lifted proximal operator machine."""

    model: Literal["lpom"] = "lpom"  # type: ignore[assignment]
    alpha: Ratio = Field(default=1.0, ge=1, le=1, description="asymmetry of nudging, which is what makes it one")
    damping: DampingRule = Field(default="majoriser", description=DESCRIPTION)


class InvertedLpomSettings(DualPropagationSettings):
    """An inverted one."""

    model: Literal["inverted_lpom"] = "inverted_lpom"  # type: ignore[assignment]
    alpha: Ratio = Field(default=0.0, ge=0, le=0, description="asymmetry of nudging, which is what makes it one")
    damping: DampingRule = Field(default="majoriser", description=DESCRIPTION)


@registry.neurons.register("lpom")
class LiftedProximalOperatorMachine(DualPropagation):
    """Dual propagation with alpha = 1, damped: s+ is pushed, s- is the forward activation."""

    Settings = LpomSettings


@registry.neurons.register("inverted_lpom")
class InvertedLiftedProximalOperatorMachine(DualPropagation):
    """Dual propagation with alpha = 0, damped: s- is pulled, s+ is the forward activation."""

    Settings = InvertedLpomSettings
