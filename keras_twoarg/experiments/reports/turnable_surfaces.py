"""Surfaces that can be turned and read off in a browser."""

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.analysis.surface_display import SHOWN
from keras_twoarg.experiments.reports.surface_tables import Surface, named_surfaces, shown

if TYPE_CHECKING:
    from plotly import graph_objects


def turnable_surfaces(surfaces: Sequence[Surface]) -> str:
    """Return surfaces as a part of a page, one at a time, chosen from a list; nothing where plotly is not installed.

    The script that draws them is put into the page: it works offline, and adds about 4 MB.
    """
    try:
        import plotly.graph_objects as go
        from plotly.offline import get_plotlyjs
    except ImportError:
        return ""
    named = named_surfaces(surfaces)
    figure = go.Figure([_trace(go, surface, visible=not i) for i, (_, surface) in enumerate(named)])
    buttons = [
        {
            "label": f"{name}, score {shown(surface.soft_xor.score, '+.2f')}",
            "method": "update",
            "args": [{"visible": [j == i for j in range(len(named))]}],
        }
        for i, (name, surface) in enumerate(named)
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.08, "yanchor": "top"}
    camera = {"eye": {"x": 1.5, "y": 1.5, "z": 1.0}, "center": {"z": -0.15}}  # all of the box fits
    axes = {"xaxis_title": "x1 (basal)", "yaxis_title": "x2 (apical)", "zaxis_title": "phi", "camera": camera}
    figure.update_layout(
        height=560, margin={"l": 0, "r": 0, "t": 40, "b": 0}, scene=axes, updatemenus=[menu] if surfaces[1:] else []
    )
    drawing = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False}, div_id="phi")
    return (
        f"<h2>Turn it</h2><script>{get_plotlyjs()}</script><figure>{drawing}<figcaption>Height: phi. Colour: log10 of "
        "the share of pre-activation pairs in a cell of 0.1 x 0.1. Drag to turn, point to read off."
        "</figcaption></figure>"
    )


def _trace(go: ModuleType, surface: Surface, visible: bool) -> "graph_objects.Surface":
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
        colorbar={"title": "log10 share", "len": 0.7},
        hovertemplate=hover,
        visible=visible,
    )
