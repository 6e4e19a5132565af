"""Torch's layers of weights with their weights on crossbars."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, unfold

from analogdp.errors import InputError
from analogdp.nn.cells import OnCrossbar, SynapseLike, whole


class CrossbarLinear(OnCrossbar, nn.Linear):
    """:class:`torch.nn.Linear` whose weights are conductance differences; the bias is digital.

    Args:
        in_features, out_features, bias, device, dtype: as of torch's module.
        synapse: a crossbar's section of a scenario, as settings or plain data, or the name of a device card.
        seed: of all that is drawn: initial weights, devices, programming, noise. The same seed gives the same bits.
        name: distinguishes layers of one seed; :func:`analogdp.nn.convert` takes the place in the model.

    Raises:
        InputError: an argument that is not of its kind.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        synapse: SynapseLike = None,
        *,
        seed: int = 0,
        name: str = "",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._identify(seed, name)
        _check_sizes(1, in_features=in_features, out_features=out_features)
        _check_bias(bias)
        nn.Linear.__init__(self, in_features, out_features, bias, device, dtype)
        self._settle_in(synapse)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        drive = self.read(self.rows(input))
        drive = drive if self.bias is None else drive + self.bias
        return drive.view(*input.shape[:-1], self.out_features)

    def rows(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Inputs ``(..., in_features)`` as the crossbar is shown them, ``(rows, in_features)``."""
        return input.reshape(-1, self.in_features)


class CrossbarConv2d(OnCrossbar, nn.Conv2d):
    """:class:`torch.nn.Conv2d` whose kernels are the lines of a crossbar, read once for each window; the bias is digital.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, bias, device, dtype: as of torch's module; padding in
            numbers, with zeros.
        synapse, seed, name: as of :class:`CrossbarLinear`.

    Raises:
        InputError: an argument that is not of its kind; the padding is a word.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
        synapse: SynapseLike = None,
        *,
        seed: int = 0,
        name: str = "",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if isinstance(padding, str):
            raise InputError(f"padding {padding!r}: write numbers of zeros around the image, such as 1")
        self._identify(seed, name)
        _check_sizes(1, in_channels=in_channels, out_channels=out_channels)
        _check_sizes(1, kernel_size=kernel_size, stride=stride, dilation=dilation)
        _check_sizes(0, padding=padding)
        _check_bias(bias)
        options: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        nn.Conv2d.__init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, **options)
        self._settle_in(synapse)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        assert not isinstance(self.padding, str)
        if self.ideal:
            kernels = self.clipped.view_as(self.weight)
            return conv2d(input, kernels, self.bias, self.stride, self.padding, self.dilation)
        drive = self.read(self.rows(input))
        drive = drive if self.bias is None else drive + self.bias
        height, width = self._windows(input)
        return drive.view(*input.shape[:-3], height, width, self.out_channels).movedim(-1, -3)

    def rows(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Images ``(..., channels, height, width)`` as the crossbar is shown them, ``(windows, fan_in)``."""
        assert not isinstance(self.padding, str)
        windows = unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)
        return windows.mT.reshape(-1, self.fan_in)

    def _windows(self, images: Tensor) -> list[int]:
        """How many windows there are one below the other, and side by side."""
        assert not isinstance(self.padding, str)
        sides = zip(images.shape[-2:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        return [(side + 2 * zeros - apart * (size - 1) - 1) // step + 1 for side, size, step, zeros, apart in sides]


def _check_sizes(least: int, **sizes: Any) -> None:
    """Refuse what is no whole number or pair of them, such as a device card that came in its place."""
    for name, given in sizes.items():
        if isinstance(given, str):
            raise InputError(f"{name} {given!r}: expected a number; devices are named by synapse={given!r}")
        for value in given if isinstance(given, tuple | list) and len(given) == 2 else (given,):
            whole(name, value, least)


def _check_bias(bias: Any) -> None:
    if not isinstance(bias, bool):
        raise InputError(f"bias {bias!r}: expected True or False; devices are named by synapse=")
