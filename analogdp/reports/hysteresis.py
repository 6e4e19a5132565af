"""The picture of a cell's current-voltage loop."""

from __future__ import annotations

from matplotlib.figure import Figure

from analogdp.devices.hysteresis import Hysteresis
from analogdp.reports.pictures import canvas
from analogdp.reports.style import BLUE, GREY, MOST_LINES, VERMILLION, prefix

GRID = "#e8eaee"


def draw_hysteresis(loop: Hysteresis, bounds: tuple[float, float], title: str) -> Figure:
    """Current against voltage, and voltage and state against time; one line for each of at most 32 chips.

    Args:
        loop: what was simulated.
        bounds: lowest and highest state, which are drawn as 0 and 1.
        title: above the panels.
    """
    figure, (plane, course) = canvas(10.4, 4.2, 2)
    time, voltage = loop.time.numpy(), loop.voltage.numpy()
    factor, letter = prefix(float(loop.current.abs().max()))
    currents = (loop.current[:, :MOST_LINES] / factor).numpy()
    states = ((loop.state[:, :MOST_LINES] - bounds[0]) / (bounds[1] - bounds[0])).numpy()
    width = 1.4 if currents.shape[1] == 1 else 0.7
    for axis in (plane, course):
        axis.grid(color=GRID)
    plane.axhline(0, color=GREY, linewidth=0.6)
    plane.axvline(0, color=GREY, linewidth=0.6)
    plane.plot(voltage, currents, color=BLUE, linewidth=width)
    plane.set(title="Pinched loop", xlabel="voltage (V)", ylabel=f"current ({letter}A)")
    seconds, second = prefix(float(time[-1]))
    course.plot(time / seconds, states, color=VERMILLION, linewidth=width)
    course.set(title="State", xlabel=f"time ({second}s)", ylabel="state, share of its range", ylim=(-0.03, 1.03))
    drive = course.twinx()
    drive.plot(time / seconds, voltage, color=GREY, linewidth=0.8, linestyle=":")
    drive.set_ylabel("voltage (V), dotted")
    drive.spines["top"].set_visible(False)
    figure.suptitle(title, parse_math=False)
    return figure
