"""The look-up on torch by its native `grid_sample`, which replaces some twenty operations.

`grid_sample` knows only the table's nodes. The few pairs beyond them use the portable look-up, which extrapolates the
border cells linearly. So do gradients of gradients, since that of `grid_sample` cannot be differentiated.
"""

from collections.abc import Sequence

import torch  # this module is imported only on torch

from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.ops.look_up import look_up
from keras_twoarg.utils.keras_internals import torch_is_transforming

_MODES = (0, 1, True)  # bilinear; what lies outside is read at the border; the outermost nodes lie at -1 and 1
_forward, _backward = torch.ops.aten.grid_sampler_2d, torch.ops.aten.grid_sampler_2d_backward


def applies(tuples: torch.Tensor) -> bool:
    """Return whether tuples are looked up this way: pairs on a CPU, in eager code that `torch.func` does not transform.

    `torch.func` transforms the portable look-up.
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or torch_is_transforming()
    # `len` last: while tracing, it would fix the number of tuples.
    return tuples.shape[-1] == 2 and tuples.device.type == "cpu" and not traced and len(tuples) > 0


def sample(tuples: torch.Tensor, cells: torch.Tensor, grid: Interpolation) -> torch.Tensor:
    """Look up pairs like `look_up.look_up`."""
    values: torch.Tensor = _Sample.apply(tuples, cells, grid)
    return values


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, tuples: torch.Tensor, cells: torch.Tensor, grid: Interpolation
    ) -> torch.Tensor:
        positions, outside = _positions(tuples, grid)
        image = _image(cells, grid.resolution)
        ctx.save_for_backward(tuples, cells, image, positions, outside)
        ctx.grid = grid
        values: torch.Tensor = _forward(image, positions, *_MODES)[0, 0, 0]
        if len(outside):
            values[outside] = look_up(tuples[outside], cells, grid)
        return values

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tuples, cells, image, positions, outside = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # the gradients will be differentiated
            return (*_portable_gradients(tuples, cells, ctx.grid, upstream, wanted, create_graph=True), None)
        within = upstream.index_fill(0, outside, 0.0) if len(outside) else upstream
        by_image, by_positions = _backward(within[None, None, None], image, positions, *_MODES, [wanted[1], True])
        by_tuples = by_positions[0, 0] / ctx.grid.extent
        by_cells = _by_cells(by_image[0, 0].T) if wanted[1] else None
        if len(outside):
            tuples, cells = tuples[outside].requires_grad_(), cells.detach().requires_grad_(wanted[1])
            by_outside, more = _portable_gradients(tuples, cells, ctx.grid, upstream[outside], (True, wanted[1]))
            by_tuples[outside] = by_outside
            by_cells = None if by_cells is None or more is None else by_cells + more
        return by_tuples, by_cells, None


def _positions(tuples: torch.Tensor, grid: Interpolation) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pairs scaled to [-1, 1] for `grid_sample`, and the indices of those that were outside."""
    positions = tuples / grid.extent
    low, high = positions.aminmax()
    if -1 <= low and high <= 1:  # false for NaN
        return positions[None, None], positions.new_empty(0, dtype=torch.int64)
    outside = ~(positions.abs() <= 1).all(-1)
    # The gradient at NaN ends the process (torch 2.13).
    return positions.nan_to_num(0.0).clamp(-1, 1)[None, None], outside.nonzero()[:, 0]


def _image(cells: torch.Tensor, resolution: int) -> torch.Tensor:
    """Return phi at the nodes as an image for `grid_sample`, `(1, 1, second argument, first argument)`."""
    return cells[:, 0].reshape(resolution + 1, resolution + 1)[1:, 1:].T[None, None]


def _by_cells(by_nodes: torch.Tensor) -> torch.Tensor:
    """Return the gradient with respect to the cells, given that for the nodes: the transpose of `_image`."""
    size = len(by_nodes) + 1
    by_cells = by_nodes.new_zeros(size, size, 4)
    by_cells[1:, 1:, 0] = by_nodes
    return by_cells.reshape(-1, 4)


def _portable_gradients(
    tuples: torch.Tensor,
    cells: torch.Tensor,
    grid: Interpolation,
    upstream: torch.Tensor,
    wanted: Sequence[bool],
    create_graph: bool = False,
) -> list[torch.Tensor | None]:
    """Return the gradients with respect to tuples and cells, or None where it is not wanted."""
    with torch.enable_grad():
        values = look_up(tuples, cells, grid)
        to = [each for each, want in zip((tuples, cells), wanted, strict=True) if want]
        gradients = iter(torch.autograd.grad(values, to, upstream, create_graph=create_graph))
    return [next(gradients) if want else None for want in wanted]
