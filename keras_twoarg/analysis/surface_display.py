"""Plots of the learned surface with the density of its arguments."""

from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.analysis.density import Density, check_measurable, density, inner_network, pre_activations
from keras_twoarg.analysis.quadratic_fit import QuadraticFit, SoftXOR, fit_quadratic, soft_xor
from keras_twoarg.utils.figures import pyplot
from keras_twoarg.utils.types import Config, Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

SHOWN = 3.0
"""Surfaces are drawn on [-SHOWN, SHOWN], where nearly all pre-activations fall."""


class SurfaceDisplay:
    """phi over the plane of its arguments, their density, and the quadratic that fits phi best.

    It works like scikit-learn's displays: `from_model` computes and stores the arrays, `plot` draws them.

    Args:
        surface: phi on the nodes of `density`: `(101, 101)`, or `(101,)` for one argument.
        density: Density of phi's arguments.

    Attributes:
        surface: As given.
        density: As given.
        quadratic: The density-weighted quadratic fit; None for one argument.
        soft_xor: Whether that fit is a soft XOR; None for one argument.
        ax_: The axes of the last `plot`.
        figure_: The figure of the last `plot`.

    Examples:
        >>> model = models.mlp((8, 8, 1), classes=3, widths=(32, 32))
        >>> display = analysis.SurfaceDisplay.from_model(model, np.random.default_rng(0).normal(size=(50, 8, 8, 1)))
        >>> display.surface.shape
        (101, 101)
        >>> ax = display.plot()
    """

    ax_: "Axes"  # annotated here, or the reference would show the wrong types
    figure_: "Figure | SubFigure"

    def __init__(self, surface: np.ndarray, density: Density) -> None:
        if surface.shape != density.values.shape or surface.ndim > 2:
            raise ValueError(
                "A display needs a surface of one or two arguments on the density's nodes. "
                f"Received: surface of shape {surface.shape}, density of shape {density.values.shape}"
            )
        check_measurable(surface[density.values > 0])
        self.surface, self.density = surface, density
        self.quadratic: QuadraticFit | None = None
        self.soft_xor: SoftXOR | None = None
        if surface.ndim == 2:
            self.quadratic = fit_quadratic(surface, density)
            self.soft_xor = soft_xor(self.quadratic)

    @classmethod
    def from_model(cls, model: Model, data: np.ndarray) -> "SurfaceDisplay":
        """Compute phi on the grid and, from inputs of the model, the density of its arguments in all places."""
        arguments = np.concatenate(list(pre_activations(model, data).values()))
        inner = inner_network(model)
        if inner.arity > 2:  # for four arguments the grid has 10^8 nodes
            raise ValueError(f"A display needs phi of one or two arguments. Received: {inner.name!r} of {inner.arity}")
        measured = density(arguments)
        surface = inner.predict(measured.nodes.astype("float32")).reshape(measured.values.shape)
        return cls(surface, measured)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        with_density: bool = True,
        with_colorbar: bool = True,
        title: str | None = None,
        **kwargs: object,
    ) -> "Axes":
        """Draw phi as colours, with contours that enclose 50, 90 and 99 % of the pre-activations within [-5, 5].

        Args:
            ax: Axes to draw on. Defaults to new ones.
            with_density: Whether to draw the contours, or the density behind a curve. Defaults to `True`.
            with_colorbar: Whether to draw a colour bar beside the axes. Defaults to `True`.
            title: Title of the axes.
            **kwargs: Passed to `pcolormesh`, or to `plot` for one argument.

        Returns:
            The axes.
        """
        ax = pyplot().figure(figsize=(4.2, 3.6)).gca() if ax is None else ax
        self.ax_, self.figure_ = ax, ax.figure
        if self.surface.ndim == 1:
            self._plot_curve(ax, with_density, **kwargs)
        else:
            self._plot_plane(ax, self.surface, with_density, with_colorbar, **kwargs)
        if title:
            ax.set_title(title, fontsize=10)
        return ax

    def plot_quadratic(self, ax: "Axes | None" = None, *, title: str | None = None) -> "Axes":
        """Draw the quadratic fit with the same colours as phi."""
        if self.quadratic is None:
            raise ValueError("A quadratic surface has two arguments. Received: a curve of one argument")
        ax = pyplot().figure(figsize=(4.2, 3.6)).gca() if ax is None else ax
        self.ax_, self.figure_ = ax, ax.figure
        x1, x2 = self.density.axis[:, None], self.density.axis[None, :]
        self._plot_plane(ax, self.quadratic.surface(x1, x2))
        if title:
            ax.set_title(title, fontsize=10)
        return ax

    def _plot_plane(
        self, ax: "Axes", values: np.ndarray, with_density: bool = True, with_colorbar: bool = True, **kwargs: object
    ) -> None:
        axis, shown = self.density.axis, np.abs(self.density.axis) <= SHOWN
        weights = self.density.values / self.density.values.sum()
        centre = float((weights * self.surface).sum())
        # Colours cover the range of phi where its arguments fall, centred on its mean there.
        span = float(np.abs(self.surface[self.density.support(0.99)] - centre).max())
        span = span if span > 1e-6 * abs(centre) else 1.0  # of a flat phi only rounding is left
        options: Config = {
            "cmap": "RdBu_r",
            "vmin": centre - span,
            "vmax": centre + span,
            "shading": "gouraud",
            "rasterized": True,
            **kwargs,
        }
        mesh = ax.pcolormesh(axis[shown], axis[shown], values.T[shown][:, shown], **options)
        if with_colorbar:
            ax.figure.colorbar(mesh, ax=ax, fraction=0.046, pad=0.03)
        if with_density:
            smooth = self.density.blurred(0.2).values
            levels = sorted({float(smooth[_support(smooth, mass)].min()) for mass in (0.5, 0.9, 0.99)})
            ax.contour(axis, axis, smooth.T, levels=levels, colors="k", linewidths=0.8, alpha=0.65)
        ax.axhline(0, color="k", linewidth=0.4, alpha=0.5)
        ax.axvline(0, color="k", linewidth=0.4, alpha=0.5)
        ax.set(
            xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN), aspect="equal", xlabel="$x_1$ (basal)", ylabel="$x_2$ (apical)"
        )

    def _plot_curve(self, ax: "Axes", with_density: bool, **kwargs: object) -> None:
        axis = self.density.axis
        options: Config = {"color": "#0072B2", **kwargs}
        ax.plot(axis, self.surface, **options)
        if with_density:
            behind = ax.twinx()
            behind.fill_between(axis, self.density.values, color="k", alpha=0.12, linewidth=0)
            behind.set_yticks([])
        ax.set(xlim=(-SHOWN, SHOWN), xlabel="$x$", ylabel=r"$\phi(x)$")


def _support(values: np.ndarray, mass: float) -> np.ndarray:
    return Density(values, 0.0, 0).support(mass)
