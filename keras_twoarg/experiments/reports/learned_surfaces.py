"""The section of a report on phi: surfaces, verdicts, maturation and spectrum."""

import html
import textwrap
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.analysis.surface_display import SHOWN, SurfaceDisplay
from keras_twoarg.experiments.reports.html import figure_section
from keras_twoarg.experiments.reports.surface_tables import (
    Surface,
    group_surfaces,
    named_surfaces,
    shown,
    soft_xor_table,
    spectra,
    surface_table,
)
from keras_twoarg.utils.figures import COLORS, line_styles, plain, pyplot
from keras_twoarg.utils.types import Config

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly import graph_objects

_OF_A_TITLE = 45
"""Characters in a line of a title."""
_SURFACES_CAPTION = (
    "Colours: phi over its two arguments, blue below and red above its mean. Lines hold 50, 90 and 99 % of the "
    "pre-activations within [-5, 5] of validation samples (500 images or rows, 50 windows of a text), pooled over all "
    "layers; lines that are missing lie outside the picture. The nearest quadratic is "
    "c0 x1² + c1 x2² + c2 x1x2 + c3 x1 + c4 x2 + c5, weighted by that density. It is a soft XOR if its principal "
    "curvatures have opposite signs."
)


def learned_section(surfaces: Sequence[Surface], *, turnable: bool = True) -> str:
    """Return the section on phi as HTML, or nothing if no phi has two arguments.

    Args:
        surfaces: phi of each run.
        turnable: Whether to add interactive surfaces, of 4 MB. Defaults to `True`.
    """
    if not surfaces:
        return ""
    tables = "".join(table.html() for table in (soft_xor_table(surfaces), surface_table(surfaces)) if table is not None)
    measurable = [s for s in surfaces if s.measurable]
    networks = [s for s in measurable if s.record.arm == "two_arg"]
    figures = ""
    if networks:
        turned = _turnable(networks) if turnable else ""
        figures = _surface_figure(networks) + turned + _verdicts(networks)
    return tables + figures + _outside(surfaces) + _maturation(measurable) + _spectrum(measurable)


def _surface_figure(surfaces: Sequence[Surface]) -> str:
    figure, axes = pyplot().subplots(
        len(surfaces), 3, figsize=(11, 3.4 * len(surfaces)), layout="constrained", squeeze=False
    )
    for row, (name, surface) in zip(axes, named_surfaces(surfaces), strict=True):
        learned = SurfaceDisplay(surface.trace.learned, surface.density)
        if surface.trace.start is not None:
            start = SurfaceDisplay(surface.trace.start, surface.density)
            start.plot(row[0], title=textwrap.fill(f"{plain(name)}: at the start", _OF_A_TITLE), with_density=False)
        outside = surface.density.outside
        beyond = f", {100 * outside:.1f} % outside [-5, 5]" if outside >= 5e-4 else ""
        title = f"learned phi, and where its arguments fall{beyond}"
        learned.plot(row[1], title=textwrap.fill(title, _OF_A_TITLE))
        learned.plot_quadratic(row[2], title=f"nearest quadratic, score {shown(surface.soft_xor.score, '+.2f')}")
    return figure_section("The learned surface", figure, _SURFACES_CAPTION)


def _verdicts(surfaces: Sequence[Surface]) -> str:
    lines = []
    for name, surface in named_surfaces(surfaces):
        learned = SurfaceDisplay(surface.trace.learned, surface.density)
        if learned.quadratic is not None:
            c = ", ".join(f"{value:+.3g}" for value in learned.quadratic.surface.coefficients)
            lines.append(
                f"<li>{html.escape(name)}: {html.escape(surface.soft_xor.verdict)}. <span class=note>c0 … c5 = "
                f"{c}; {surface.density.outside:.2%} of {surface.density.number:,} pairs lie outside [-5, 5].</span>"
            )
    return f"<ul class=verdicts>{'</li>'.join(lines)}</li></ul>"


def _outside(surfaces: Sequence[Surface]) -> str:
    lines = "".join(
        f"<li>{html.escape(name)}: {surface.density.outside:.2%} of {surface.density.number:,} pairs lie outside "
        "[-5, 5], and the others in too few cells, or on one line or conic, to fit a quadratic.</li>"
        for name, surface in named_surfaces(surfaces)
        if not surface.measurable
    )
    return lines and f"<ul class=verdicts>{lines}</ul>"


def plot_maturation(surfaces: Sequence[Surface], *, ax: "Axes | None" = None) -> "Axes":
    """Draw phi's distance from its final shape over the epochs: thin lines for the seeds, a thick one for the mean.

    Args:
        surfaces: phi of each run, as `Runs.surfaces` holds it.
        ax: Axes to draw on. Defaults to new ones.

    Returns:
        The axes.
    """
    ax = pyplot().figure(figsize=(7, 4)).gca() if ax is None else ax
    groups = [(g, [s for s in members if s.distances]) for g, members in group_surfaces(surfaces)]
    groups = [(g, members) for g, members in groups if members]
    for (group, members), (color, style) in zip(groups, line_styles(len(groups)), strict=True):
        for surface in members:
            ax.plot(list(surface.distances), list(surface.distances.values()), color=color, alpha=0.3, linewidth=0.8)
        shared = sorted(set.intersection(*(set(s.distances) for s in members)))
        mean = [np.mean([s.distances[epoch] for s in members]) for epoch in shared]
        label = textwrap.fill(f"{plain(group.name)} ({len(members)} seeds)", 2 * _OF_A_TITLE)
        ax.plot(shared, mean, color=color, linestyle=style, linewidth=2, label=label)
    ax.axhline(0.1, color="k", linewidth=0.6, linestyle=":")
    ax.set(xlabel="epoch of the joint stage", ylabel="distance from the final surface", ylim=(0, 1.02))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return ax


def _maturation(surfaces: Sequence[Surface]) -> str:
    if not any(surface.distances for surface in surfaces):
        return ""
    caption = (
        "Distance: 1 - r², where r is the correlation of phi with phi at the best epoch, over the density of its "
        "arguments. Epoch 0 is the start. Below the dotted line, 0.1, phi counts as settled. In the paper it settled "
        "after 1 to 5 epochs."
    )
    section = figure_section("Maturation of phi", plot_maturation(surfaces).figure, caption)
    filmed = next((s for s in surfaces if s.record.arm == "two_arg" and s.trace.weights), None)
    return section + (_film(filmed) if filmed else "")


def _film(surface: Surface) -> str:
    trace = surface.trace
    wanted = [e for e in dict.fromkeys((0, 1, 2, 5, 10, 20, max(trace.weights))) if e in trace.weights]
    figure, axes = pyplot().subplots(
        1, len(wanted), figsize=(2.1 * len(wanted), 2.3), layout="constrained", squeeze=False
    )
    for ax, epoch in zip(axes[0], wanted, strict=True):
        SurfaceDisplay(trace.at(epoch), surface.density).plot(
            ax, title=f"epoch {epoch}", with_density=False, with_colorbar=False
        )
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    return figure_section(
        f"phi over the epochs, seed {surface.record.seed}", figure, "Each panel has its own colour scale."
    )


def plot_spectrum(surfaces: Sequence[Surface], *, ax: "Axes | None" = None) -> "Axes":
    """Draw the shares of the angular orders: learned, at the start, and for Glorot's initial weights.

    Args:
        surfaces: phi of each run, as `Runs.surfaces` holds it.
        ax: Axes to draw on. Defaults to new ones.

    Returns:
        The axes.
    """
    ax = pyplot().figure(figsize=(7, 4)).gca() if ax is None else ax
    drawn = {name: shares for name, shares in spectra(surfaces).items() if len(shares)}
    orders, width = np.arange(1, 7), 0.8 / len(drawn)
    for i, ((name, shares), color) in enumerate(zip(drawn.items(), COLORS[::2], strict=False)):
        places = orders + (i - (len(drawn) - 1) / 2) * width
        ax.bar(places, shares.mean(0), width * 0.92, color=color, label=f"{name} ({len(shares)})")
        spread = np.std(shares, axis=0, ddof=1) if len(shares) > 1 else np.zeros(6)
        ax.errorbar(places, shares.mean(0), spread, fmt="none", ecolor="k", elinewidth=0.8, capsize=2)
    ax.set(xlabel="angular order (1 dipole, 2 quadrupole)", ylabel="share of the angular power", ylim=(0, 1))
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def _spectrum(surfaces: Sequence[Surface]) -> str:
    networks = [
        s for s in surfaces if s.record.arm == "two_arg" and s.spectrum is not None and np.isfinite(s.spectrum.angular)
    ]
    if not networks:
        return ""
    caption = (
        "phi on circles about the origin as a Fourier series in the angle, averaged over the radii at which its "
        "arguments fall. Bars: mean; lines: standard deviation over surfaces (their number is in the legend)."
    )
    return figure_section("Angular power spectrum of phi", plot_spectrum(networks).figure, caption)


_TURNABLE_HEIGHT = "min(600px, 110vw)"
"""Lower on a narrow screen: a surface is drawn as large as the height allows, and cut off at the sides."""


def _turnable(surfaces: Sequence[Surface]) -> str:
    """Return interactive surfaces as HTML, chosen from a list; nothing if plotly is not installed.

    Plotly's script is embedded: the page works offline, and grows by about 4 MB.
    """
    try:
        import plotly.graph_objects as go
        from plotly.offline import get_plotlyjs
    except ImportError:
        return ""
    named = named_surfaces(surfaces)
    figure = go.Figure([_plotly_surface(go, surface, visible=not i) for i, (_, surface) in enumerate(named)])
    buttons = [
        {
            "label": f"{name}, score {shown(surface.soft_xor.score, '+.2f')}",
            "method": "update",
            "args": [{"visible": [j == i for j in range(len(named))]}],
        }
        for i, (name, surface) in enumerate(named)
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.08, "yanchor": "top"}
    camera = {"eye": {"x": 1.5, "y": 1.5, "z": 1.0}, "center": {"z": -0.15}}  # the whole box fits
    axes = {"xaxis_title": "x1 (basal)", "yaxis_title": "x2 (apical)", "zaxis_title": "phi", "camera": camera}
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 40, "b": 0}, scene=axes, updatemenus=[menu] if surfaces[1:] else []
    )
    config: Config = {"displaylogo": False, "responsive": True}
    drawing = figure.to_html(
        config, full_html=False, include_plotlyjs=False, default_height=_TURNABLE_HEIGHT, div_id="phi"
    )
    return (
        f"<h2>Turn it</h2><script>{get_plotlyjs()}</script><figure>{drawing}<figcaption>Height: phi. Colour: log10 of "
        "the share of pre-activation pairs in a cell of 0.1 x 0.1. Drag to turn; hover to read values."
        "</figcaption></figure>"
    )


def _plotly_surface(go: ModuleType, surface: Surface, visible: bool) -> "graph_objects.Surface":
    axis = surface.density.axis
    inside = np.abs(axis) <= SHOWN
    values = surface.trace.learned[inside][:, inside].T.astype("float32")
    share = surface.density.blurred(0.1).values[inside][:, inside].T
    hover = "x1 %{x:.1f}, x2 %{y:.1f}<br>phi %{z:.4g}<br>share of pairs %{customdata:.2g}<extra></extra>"
    return go.Surface(
        x=axis[inside].round(1),
        y=axis[inside].round(1),
        z=values,
        surfacecolor=np.log10(np.maximum(share, 1e-6)).astype("float32"),
        customdata=share.astype("float32"),
        colorscale="Viridis",
        colorbar={"title": "log10 share", "len": 0.7, "orientation": "h", "y": 0, "yanchor": "top", "thickness": 15},
        hovertemplate=hover,
        visible=visible,
    )
