"""Torch models in this package's words: layers as a scenario has them, one activation, and folded weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from analogdp.errors import InputError
from analogdp.exports.torch_module import QuadraticMeanPool2d, Transfer
from analogdp.network.initial_weights import InitialWeights, initial_weights
from analogdp.nn import CrossbarConv2d, CrossbarLinear
from analogdp.nn.conversion import refuse_computed_weight
from analogdp.scenario.weights import LayerEntries

SUPPORTED = (
    "Sequential, Linear, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, LeakyReLU, Tanh, Sigmoid, Hardtanh(0, 1), MaxPool2d, AvgPool2d, "
    "Flatten, Unflatten first of all, Dropout, Identity, and a last Softmax or LogSoftmax"
)
DROPPED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.Identity)
"""Modules that do nothing when a model is evaluated."""

Plain = dict[str, Any]


@dataclass(frozen=True)
class TorchLayers:
    """What a torch model is made of.

    Attributes:
        layers: as a scenario writes them; None in the first place where only the data tell the shape of images.
        activation: of all hidden layers, as a scenario writes it; None without hidden layers.
        normal: whether the outputs were normalised by a softmax, which is left out, so that outputs are drives.
        weights: of every layer, the lowest first.
        notes: what was left out or changed, in words.
        by_images: whether the model's inputs are images ``(batch, channels, height, width)``, not flat.
    """

    layers: tuple[Any, ...]
    activation: Plain | None
    normal: str | None
    weights: tuple[InitialWeights, ...]
    notes: tuple[str, ...]
    by_images: bool


@dataclass
class _Layer:
    """A layer of weights and what was found behind it so far."""

    path: str
    weights: nn.Linear | nn.Conv2d
    normalisation: nn.BatchNorm1d | nn.BatchNorm2d | None = None
    pool: Plain | None = None
    activation: Plain | None = None
    shown: str = "no activation"

    @property
    def images(self) -> bool:
        return isinstance(self.weights, nn.Conv2d)


@dataclass
class _Reader:
    """Goes through a model's modules in their order."""

    found: list[_Layer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    input: Any = None
    flat: bool = False
    normal: str | None = None

    def take(self, path: str, module: nn.Module) -> None:
        """Add one module.

        Raises:
            InputError: it does not go with those before it.
        """
        if self.normal is not None:
            raise _refusal(path, module, "a softmax comes last")
        kind = type(module)
        if kind in DROPPED:
            self.notes.append(f"{path} ({kind.__name__}) does nothing in evaluation, and was left out")
        elif isinstance(module, nn.Linear | nn.Conv2d):
            self._take_weights(path, module)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            self._take_normalisation(path, module)
        elif kind in _POOLS:
            self._take_pool(path, module)
        elif isinstance(module, nn.Flatten):
            if (module.start_dim, module.end_dim) != (1, -1):
                raise _refusal(path, module, "all but the batch is flattened here: start_dim=1, end_dim=-1")
            self.flat = True
        elif isinstance(module, nn.Unflatten):
            self._take_shape(path, module)
        elif isinstance(module, nn.Softmax | nn.LogSoftmax):
            self._take_softmax(path, module)
        else:
            self._take_activation(path, module)

    def _take_weights(self, path: str, module: nn.Linear | nn.Conv2d) -> None:
        before = self.found[-1] if self.found else None
        images = isinstance(module, nn.Conv2d)
        if before is None and images and self.flat and self.input is None:
            raise _refusal(path, module, "its images are flat; put Unflatten(1, (channels, height, width)) before it")
        if before is not None and images and (self.flat or not before.images):
            raise _refusal(path, module, "convolutions come before layers of units, and before Flatten")
        comes_in = self.input is not None if before is None else before.images
        if not images and comes_in and not self.flat:
            raise _refusal(path, module, "images come in; put Flatten before it")
        if isinstance(module, nn.Conv2d):
            _check_convolution(path, module)
        elif before is None and self.input is None:
            self.input = module.in_features
        self.found.append(_Layer(path, module))
        self.flat = False if images else self.flat

    def _take_normalisation(self, path: str, module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        own = self._last(path, module)
        if own.normalisation is not None or own.pool is not None or own.activation is not None:
            raise _refusal(path, module, "batch normalisation is folded into the weights that it follows directly")
        if module.running_mean is None or module.running_var is None:
            raise _refusal(path, module, "without running statistics it cannot be folded; use track_running_stats=True")
        own.normalisation = module
        self.notes.append(f"{path} ({type(module).__name__}) was folded into the weights and biases of {own.path}")

    def _take_pool(self, path: str, module: nn.Module) -> None:
        own = self._last(path, module)
        if not own.images or self.flat or own.pool is not None:
            raise _refusal(path, module, "one pool follows each convolution")
        own.pool = {**_pool(path, module), "of": "drive" if own.activation is None else "activity"}

    def _take_activation(self, path: str, module: nn.Module) -> None:
        own = self._last(path, module)
        if own.activation is not None:
            raise _refusal(path, module, f"{own.path} has an activation already, {own.shown}")
        own.activation, own.shown = _activation(path, module), f"{path}: {module}"

    def _take_softmax(self, path: str, module: nn.Softmax | nn.LogSoftmax) -> None:
        if module.dim not in (None, 1, -1):
            raise _refusal(path, module, "classes lie along dim=1")
        self.normal = type(module).__name__
        self.notes.append(
            f"{path} ({self.normal}) was left out: outputs are drives, which network.loss: cross_entropy takes"
        )

    def _take_shape(self, path: str, module: nn.Unflatten) -> None:
        shape = tuple(module.unflattened_size)
        if self.found or module.dim != 1 or len(shape) != 3:
            raise _refusal(path, module, "only inputs are unflattened, to (channels, height, width) along dim=1")
        self.input, self.flat = "x".join(map(str, shape)), False

    def _last(self, path: str, module: nn.Module) -> _Layer:
        if not self.found:
            raise _refusal(path, module, "a layer of weights comes first")
        return self.found[-1]


def read_model(model: nn.Module) -> TorchLayers:
    """The layers of a torch model that is a sequence of modules.

    Raises:
        InputError: modules that are not supported, each with its place and class; or an order that scenarios do not have.
    """
    modules = list(_modules(model, ""))
    for path, module in modules:
        refuse_computed_weight(module, path)
    if unknown := [_named(path, module) for path, module in modules if not _supported(module)]:
        raise InputError(f"{', '.join(unknown)}: not supported; supported: {SUPPORTED}{_way_out(model)}")
    reader = _Reader()
    for path, module in modules:
        reader.take(path, module)
    if not reader.found:
        raise InputError(f"{type(model).__name__} has no layers of weights; supported: {SUPPORTED}")
    *hidden, last = reader.found
    if last.activation is not None:
        raise InputError(
            f"{last.shown}: outputs are linear neurons; leave the last activation away, or add a Linear layer"
        )
    return TorchLayers(
        layers=(reader.input, *map(_section, reader.found)),
        activation=_common_activation(hidden),
        normal=reader.normal,
        weights=tuple(map(_folded, reader.found)),
        notes=tuple(reader.notes),
        by_images=reader.found[0].images and not any(isinstance(module, nn.Unflatten) for _, module in modules),
    )


def without_softmax(model: nn.Module) -> nn.Sequential:
    """The very modules of a model that :func:`read_model` reads but its last softmax, so that outputs are drives.

    A softmax of drives that lie far apart is exactly 0 for the lower ones, which no logarithm brings back.
    """
    return nn.Sequential(*(own for _, own in _modules(model, "") if not isinstance(own, nn.Softmax | nn.LogSoftmax)))


def _modules(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """All modules in the order in which they are called, those of inner sequences among them."""
    if type(module) is not nn.Sequential:
        yield path, module
        return
    # Not named_children(), which leaves out what is used a second time.
    for name, child in zip(module._modules, module, strict=True):
        yield from _modules(child, f"{path}.{name}" if path else name)


def _supported(module: nn.Module) -> bool:
    return type(module) in (*_LAYERS, *DROPPED, *_POOLS, *_ACTIVATIONS)


def _named(path: str, module: nn.Module) -> str:
    return f"{path} ({type(module).__name__})" if path else type(module).__name__


def _refusal(path: str, module: nn.Module, reason: str) -> InputError:
    return InputError(f"{path or 'model'}: {module}: {reason}")


def _way_out(model: nn.Module) -> str:
    if type(model) is nn.Sequential:
        return ""
    return ". What a module of another class computes is its code: give its state_dict with a scenario that tells the layers"


def _check_convolution(path: str, module: nn.Conv2d) -> None:
    alike = all(
        isinstance(own, tuple) and len({*own}) == 1 for own in (module.kernel_size, module.stride, module.padding)
    )
    if not alike or module.groups != 1 or {*module.dilation} != {1} or module.padding_mode != "zeros":
        wanted = "square windows with one stride and one number of zeros around the image, without groups and dilation"
        raise _refusal(path, module, f"convolutions here have {wanted}")


def _pool(path: str, module: Any) -> Plain:
    plain = {"padding": 0, "dilation": 1, "ceil_mode": False, "divisor_override": None, "return_indices": False}
    sizes = [{*own} if isinstance(own, tuple) else {own} for own in (module.kernel_size, module.stride)]
    if any(len(own) != 1 for own in sizes) or any(getattr(module, name, own) != own for name, own in plain.items()):
        raise _refusal(path, module, "pools here have square windows with one stride, and nothing around the image")
    (size,), (stride,) = sizes
    return {"kind": _POOLS[type(module)], "size": size, "stride": stride}


def _activation(path: str, module: Any) -> Plain:
    made: Plain | None = _ACTIVATIONS[type(module)](module)
    if made is None:
        raise _refusal(
            path,
            module,
            "scenarios have Hardtanh(0, 1), and LeakyReLU with slopes between 0 and 1",
        )
    return made


def _common_activation(hidden: list[_Layer]) -> Plain | None:
    """That of all hidden layers; linear if none has one."""
    used = [own.activation or {"name": "identity"} for own in hidden]
    if any(own != used[0] for own in used):
        listed = "; ".join(f"{own.path}: {own.shown}" for own in hidden)
        raise InputError(f"all hidden layers have the same activation in a scenario, and here they differ ({listed})")
    return used[0] if used else None


def _section(own: _Layer) -> Any:
    if isinstance(own.weights, nn.Linear):
        return own.weights.out_features
    windows = {"kernel": own.weights.kernel_size[0], "stride": own.weights.stride[0], "padding": own.weights.padding[0]}
    return {"conv": own.weights.out_channels, **windows, **({} if own.pool is None else {"pool": own.pool})}


def _folded(own: _Layer) -> InitialWeights:
    names = {f"{own.path}.{name}".lstrip("."): values for name, values in own.weights.named_parameters()}
    bias = f"{own.path}.bias".lstrip(".") if own.weights.bias is not None else None
    normalisation, known, epsilon = own.normalisation, None, 0.0
    tensors: dict[str, Tensor] = {**names}
    if normalisation is not None:
        parts = ("weight", "bias", "running_mean", "running_var")
        known = {name: f"{own.path} normalised by {name}" for name in parts if getattr(normalisation, name) is not None}
        tensors |= {place: getattr(normalisation, name) for name, place in known.items()}
        epsilon = normalisation.eps
    entries = LayerEntries(f"{own.path}.weight".lstrip("."), bias, known)
    return initial_weights(tensors, [entries], "model", epsilon)[0]


def _leaky(module: nn.LeakyReLU) -> Plain | None:
    return {"name": "leaky_relu", "slope": module.negative_slope} if 0 < module.negative_slope < 1 else None


def _hard(module: nn.Hardtanh) -> Plain | None:
    return {"name": "hard_sigmoid"} if (module.min_val, module.max_val) == (0, 1) else None


_LAYERS = (
    *(nn.Linear, nn.Conv2d, CrossbarLinear, CrossbarConv2d, nn.BatchNorm1d, nn.BatchNorm2d),
    *(nn.Flatten, nn.Unflatten, nn.Softmax, nn.LogSoftmax),
)
_POOLS: Mapping[type[nn.Module], str] = {
    nn.MaxPool2d: "max",
    nn.AvgPool2d: "average",
    QuadraticMeanPool2d: "quadratic_mean",
}
_ACTIVATIONS: Mapping[type[nn.Module], Callable[[Any], Plain | None]] = {
    nn.ReLU: lambda module: {"name": "relu"},
    nn.LeakyReLU: _leaky,
    nn.Tanh: lambda module: {"name": "tanh"},
    nn.Sigmoid: lambda module: {"name": "logistic"},
    nn.Hardtanh: _hard,
    Transfer: lambda module: module.activation.settings.model_dump(mode="json"),
}
