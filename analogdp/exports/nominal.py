"""What a card's device does without variation and noise: programs and expectations are made for it."""

from __future__ import annotations

import torch

from analogdp.devices import DeviceCard, DeviceModel
from analogdp.devices.imperfect import ImperfectDevice, Imperfections
from analogdp.streams import Stream

_RANDOM = ("_spread", "_noise", "_std")
"""How the names of parameters end that say how much devices, pulses and reads differ; 0 is none."""

STREAM = Stream(0, "export", dtype=torch.float64)
"""Of devices in which nothing is random."""


def nominal_device(card: DeviceCard, aging: bool = False) -> DeviceModel:
    """The device of a card whose cells are all alike, whose pulses are, and which has no imperfections.

    Args:
        card: of the device.
        aging: whether cells age as the card says: the laws of aging have numbers of their own.
    """
    random = {name: 0.0 for name in type(card.parameters).model_fields if name.endswith(_RANDOM)}
    alike = card.model_copy(update={"parameters": card.parameters.model_copy(update=random)})
    kept = card.imperfections if aging else Imperfections()
    imperfections = Imperfections(relaxation=kept.relaxation, drift=kept.drift, retention=kept.retention)
    none = dict.fromkeys(Imperfections.__dataclass_fields__)
    inner = alike.model_copy(update=none).device()
    return ImperfectDevice(inner, imperfections) if imperfections else inner
