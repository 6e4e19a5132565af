"""The script: what stands at its head for one network, and what does the work in all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from string import Template

NAME, NUMBERS = "network.py", "weights.npz"

WIDTH = 110


def script(about: Sequence[str], settings: Sequence[str], equations: Sequence[tuple[str, str]]) -> str:
    """The text of the script.

    Args:
        about: paragraphs of its docstring.
        settings: lines of Python between the imports and the equations.
        equations: for each layer a comment, and what its neurons do.
    """
    paragraphs = "\n\n".join(each if each.startswith(" ") else textwrap.fill(each, WIDTH) for each in about)
    layers = "\n".join(
        f'    # {comment}\n    """\n{textwrap.indent(text, "    ")}\n    """,' for comment, text in equations
    )
    return SCRIPT.substitute(about=paragraphs, settings="\n".join(settings), equations=layers)


SCRIPT = Template(
    '''\
"""$about
"""

import argparse
from itertools import pairwise
from pathlib import Path

import brian2
import numpy as np
from brian2 import Network, NeuronGroup, StateMonitor, Synapses, TimedArray, second

NUMBERS = Path(__file__).resolve().with_name("weights.npz")

$settings

# In a step "sums" come first, then targets are computed and held, then states move.
SCHEDULE = ["start", "sums", "targets", "groups", "end"]

EQUATIONS = [
$equations
]


def join(source, target, weights, message, into):
    """Synapses all to all, of weights (target, source): the target's variable `into` is the weighted sum of messages."""
    synapses = Synapses(source, target, f"w : 1 (constant)\\n{into}_post = w * {message}_pre : 1 (summed)")
    i, j = (axis.ravel() for axis in np.indices(weights.T.shape))
    synapses.connect(i=i, j=j)
    synapses.w = weights.T.ravel()
    synapses.summed_updaters[f"{into}_post"].when = "sums"
    return synapses


def populations(numbers):
    """A NeuronGroup for each layer, with the parameters of its neurons, which every sample finds at rest."""
    for number, equations in enumerate(EQUATIONS, start=1):
        start = f"layer{number}."
        own = {name.removeprefix(start): each for name, each in numbers.items() if name.startswith(start)}
        layer = NeuronGroup(len(own["weights"]), equations, method=METHOD, name=f"layer{number}")
        for name, values in own.items():
            if values.ndim == 1:
                setattr(layer, name, values * second if name.endswith("_tau") else values)
        layer.run_regularly("\\n".join(f"{name} = 0" for name in STATES), dt=STEPS * DT, when="start")
        layer.subexpression_updater.when = "targets"
        yield layer


def simulate(numbers):
    """Show all samples, one after the other.

    Returns the states after each step by "layer<k>.<state>", and the outputs, "outputs": (samples, steps, units).
    """
    brian2.defaultclock.dt = DT
    samples = len(numbers["inputs"])
    layers = list(populations(numbers))
    synapses = []
    for number, (below, above) in enumerate(pairwise(layers), start=2):
        weights = numbers[f"layer{number}.weights"]
        feedback = numbers.get(f"layer{number}.feedback", weights.T)
        synapses.append(join(below, above, weights, "upward", "drive"))
        synapses.append(join(above, below, feedback, "downward", "top_down"))
    monitors = [StateMonitor(layer, STATES, record=True, when="end") for layer in layers]
    outputs = StateMonitor(layers[-1], "upward", record=True, when="end")
    network = Network(*layers, *synapses, *monitors, outputs)
    network.schedule = SCHEDULE
    # The clamped input drives the first layer by currents that stay the same for as long as a sample is shown.
    currents = numbers["inputs"] @ numbers["layer1.weights"].T
    stimulus = TimedArray(np.repeat(currents, STEPS, axis=0), dt=DT)
    network.run(samples * STEPS * DT, namespace=CONSTANTS | {"stimulus": stimulus})
    recorded = {
        f"layer{number}.{name}": getattr(monitor, name)
        for number, monitor in enumerate(monitors, start=1)
        for name in STATES
    }
    recorded["outputs"] = outputs.upward
    return {name: np.asarray(each).T.reshape(samples, STEPS, -1) for name, each in recorded.items()}


def show(outputs, numbers):
    """Print what outputs (samples, units) mean, and what was wanted."""
    if "labels" in numbers:
        # The largest output is the class; a single one means the second of two classes above 1/2.
        classes = outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)
        for sample, (found, label) in enumerate(zip(classes, numbers["labels"], strict=True)):
            print(f"sample {sample}: class {found}, label {label}")
        print(f"{np.sum(classes == numbers['labels'])} of {len(classes)} right")
    else:
        for sample, (found, wanted) in enumerate(zip(outputs, numbers["targets"], strict=True)):
            print(f"sample {sample}: {found}, wanted {wanted}")
    print(f"largest difference from analogdp's outputs: {np.abs(outputs - numbers['outputs']).max():.3g}")


def main():
    parser = argparse.ArgumentParser(description="Inference of a trained network, by Brian2.")
    parser.add_argument("--target", choices=("numpy", "cython"), default="numpy", help="what Brian2 runs its code with")
    parser.add_argument("--standalone", metavar="FOLDER", help="build and run a C++ program in this folder instead")
    parser.add_argument("--save", metavar="FILE", help="write all states after each step, as .npz")
    arguments = parser.parse_args()
    brian2.prefs.codegen.target = arguments.target
    if arguments.standalone:
        brian2.set_device("cpp_standalone", directory=arguments.standalone)
    with np.load(NUMBERS, allow_pickle=False) as file:
        numbers = dict(file)
    found = simulate(numbers)
    show(found["outputs"][:, -1], numbers)
    if arguments.save:
        np.savez(arguments.save, **found)


if __name__ == "__main__":
    main()
'''
)
