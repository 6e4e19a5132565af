"""What every data set's section has: which samples are used, and what is done to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from analogdp.errors import Problem
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class DataSettings(Settings, ABC):
    """What every data set's section has."""

    input_bytes: ClassVar[int | None] = None
    """Memory that a number of an input takes: 1 where bytes are kept, 0 for memory maps; None: what the run computes with."""

    name: str
    train_limit: int | None = Field(default=None, ge=1, description="use only the first so many training samples")
    test_limit: int | None = Field(default=None, ge=1, description="use only the first so many test samples")
    draw: int | None = Field(
        default=None, ge=1, description="training samples drawn at random, with replacement; null: each of them once"
    )
    test: Literal["own", "rest"] = Field(
        default="own", description="own: the test samples of the data set; rest: all that draw has not drawn"
    )
    normalise: Literal["none", "range", "standard", "channels"] = Field(
        default="none",
        description="range: every feature from 0 to 1; standard: of mean 0 and standard deviation 1; channels: every channel",
    )
    normalise_targets: Literal["none", "range", "standard"] = Field(
        default="none", description="the same for the targets of a regression"
    )
    normalise_over: Literal["train", "all"] = Field(
        default="train", description="samples whose statistics normalise: those trained on, or all of the data set"
    )
    target_scale: Ratio = Field(default=1.0, gt=0, le=1e6, description="factor of a regression's targets, at last")
    crop: int = Field(
        default=0, ge=0, le=100, description="pixels of black around training images, which are cut out at random"
    )
    flip: bool = Field(default=False, description="every other training image is mirrored, at random")
    train_noise: Ratio = Field(
        default=0.0, ge=0, le=1000, description="standard deviation of noise on inputs, new whenever one is trained on"
    )
    test_noise: Ratio = Field(default=0.0, ge=0, le=1000, description="the same on test inputs, drawn once")
    clamp: bool = Field(default=False, description="noisy inputs are cut off at 0 and 1")

    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """Numbers in an input and in a target."""

    def shape(self) -> tuple[int, ...]:
        """Shape of one input: ``(channels, height, width)`` of images, else ``(numbers,)``."""
        return (self.sizes()[0],)

    @abstractmethod
    def samples(self) -> tuple[int, int]:
        """Training and test samples of the data set, at most; the files themselves are not looked at."""

    def regression(self) -> bool:
        """Whether the targets are numbers, not classes."""
        return False

    def counts(self) -> tuple[int, int]:
        """Training and test samples that are used, at most."""
        train, test = self.samples()
        pool = min(train, self.train_limit or train)
        test = pool - 1 if self.test == "rest" else test
        return self.draw or pool, min(test, self.test_limit or test)

    def memory(self, dtype_bytes: int) -> int:
        """Memory in bytes that the samples take, as read in single precision and as used."""
        (inputs, outputs), samples = self.sizes(), sum(self.samples())
        both = 4 + dtype_bytes
        input_bytes = both if self.input_bytes is None else self.input_bytes
        noisy = self.counts()[1] * inputs * both if self.test_noise else 0
        # A class is a label and the place of its target.
        return samples * (inputs * input_bytes + (outputs * both if self.regression() else 2 * 8)) + noisy

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        no_images = f"{self.name} has no images of channels, height and width; leave it away"
        no_numbers = f"the targets of {self.name} are classes, not numbers; leave it away"
        no_classes = f"{self.name} has no output for each class, which network.loss: cross_entropy needs"
        images, numbers, normalised = len(self.shape()) == 3, self.regression(), self.normalise
        checks = (
            ("normalise", normalised == "channels" and not images, no_images),
            ("crop", self.crop > 0 and not images, no_images),
            ("flip", self.flip and not images, no_images),
            ("normalise_targets", self.normalise_targets != "none" and not numbers, no_numbers),
            ("target_scale", self.target_scale != 1 and not numbers, no_numbers),
            (
                "normalise_over",
                self.normalise_over == "all" and normalised == self.normalise_targets == "none",
                "nothing is normalised; set normalise or normalise_targets, too",
            ),
            (
                "test",
                self.test == "rest" and self.draw is None,
                "rest are the samples that draw has not drawn; set draw, too",
            ),
            (
                "clamp",
                self.clamp and not (self.train_noise or self.test_noise),
                "there is no noise; set train_noise or test_noise, or leave it away",
            ),
            (
                "clamp",
                self.clamp and normalised in ("standard", "channels"),
                f"normalise: {normalised} takes inputs beyond 0 and 1; use range or none",
            ),
            ("name", scenario.network.loss == "cross_entropy" and (numbers or self.sizes()[1] == 1), no_classes),
        )
        return [Problem(key, refusal) for key, wrong, refusal in checks if wrong]
