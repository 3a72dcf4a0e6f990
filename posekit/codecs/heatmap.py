"""Heat maps: a keypoint as the place of a map's maximum, refined below a cell.

Source: Simple Baselines (arXiv 1804.06208) for the quarter offset, DARK (arXiv 1910.06278) for the
Taylor step, UDP (arXiv 1911.07524) for its own coordinates and maps with offsets.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from posekit.codecs.largest import largest
from posekit.codecs.targets import drawn_and_weights, gaussians, keypoint_tensors
from posekit.errors import InputError

__all__ = ["MSRAHeatmap", "UDPHeatmap"]


class MSRAHeatmap:
    """Maps whose cell (x, y) lies at (x, y) * input_size / heatmap_size.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        heatmap_size: (w, h) of a map, in cells.
        dark: refine by a Taylor step on the blurred map's logarithm (DARK), and centre targets on
            the keypoint itself; otherwise refine by a quarter of a cell towards the larger
            neighbour, and centre targets on the nearest cell.
        blur_kernel_size: size of the Gaussian before that step, in cells, odd.
        shift_heatmap: in the flip test, move mirrored maps right by one cell: a cell's place in
            the input is not symmetric, so mirroring is off by about that much.
        sigma: standard deviation of the Gaussian targets, in cells; None follows the published
            configurations: a 32nd of the map's longer side.
    """

    reads = ("heatmap",)

    def __init__(
        self,
        *,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        dark: bool = False,
        blur_kernel_size: int = 11,
        shift_heatmap: bool = False,
        sigma: float | None = None,
    ) -> None:
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.dark = dark
        self.blur_kernel_size = blur_kernel_size
        self.shift_heatmap = shift_heatmap
        self.sigma = max(heatmap_size) / 32 if sigma is None else sigma

    def encode(
        self, keypoints: Tensor | np.ndarray, visible: Tensor | np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """Gaussians of height 1, cut off at three sigma unless `dark`.

        Args:
            keypoints: (N, K, 2), in pixels of the input.
            visible: (N, K), 0 to 1; below 0.5 a keypoint's map is zero.

        Returns:
            Maps (N, K, h, w), shaped as the network's output, and weights (N, K): `visible`, but
            0 for a keypoint more than three sigma outside of the maps. float32, on the keypoints'
            device.

        Raises:
            InputError: shapes that do not fit each other.
        """
        keypoints, visible = keypoint_tensors(keypoints, visible)
        scale = keypoints.new_tensor(np.divide(self.heatmap_size, self.input_size).tolist())
        cells = keypoints * scale
        nearest = (cells + 0.5).trunc()
        reach = 3 * self.sigma
        centers, window = (cells, None) if self.dark else (nearest, nearest)
        drawn, weights = drawn_and_weights(centers, visible, self.heatmap_size, [reach, reach])
        maps = _gaussian_maps(centers, self.heatmap_size, self.sigma, window=window)
        return maps.where(drawn[..., None, None], 0.0), weights

    def decode(self, outputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The maximum of each map.

        Args:
            outputs: (N, K, h, w).

        Returns:
            Keypoints (N, K, 2) in pixels of the input, and scores (N, K): the maxima. Where one is
            not positive, the keypoint is at cell (-1, -1), as in MMPose.

        Raises:
            InputError: maps of another size.
        """
        maps = _check_size(outputs, self.heatmap_size)
        cells, scores = _maxima(maps)
        if self.dark:
            blurred = _blur_keeping_maximum(maps, self.blur_kernel_size)
            log = np.log(np.maximum(_around(blurred, cells, radius=2), 1e-10))
            peaks = cells.cpu().numpy()
            peaks = peaks + _dark_offsets(log, peaks, self.heatmap_size)
        else:
            around = _around(maps, cells, radius=1)
            peaks = cells.cpu().numpy()
            peaks = peaks + _quarter_offsets(around, peaks, self.heatmap_size)
        scale = np.divide(self.input_size, self.heatmap_size)
        return (peaks * scale).astype(np.float32), scores.cpu().numpy()

    def flip(self, outputs: Tensor, flip_indices: Sequence[int] | Tensor) -> Tensor:
        """Turns the maps of a mirrored input into those of the input itself."""
        order = torch.as_tensor(flip_indices, device=outputs.device)
        return _mirror(outputs[:, order], shift=self.shift_heatmap)


class UDPHeatmap:
    """Maps whose outermost cells lie on the borders of the input (UDP).

    Args:
        input_size: (w, h) of the network's input, in pixels.
        heatmap_size: (w, h) of a map, in cells.
        blur_kernel_size: size of the Gaussian before the refinement, in cells, odd.
        combined: each keypoint has three maps, one of where it is and two of the offsets to it in
            x and y, which then refine it.
        radius_factor: the offsets' unit, in multiples of a map's longer side.
        shift_heatmap: as in `MSRAHeatmap`; UDP's own coordinates need none.
        sigma: as in `MSRAHeatmap`.
    """

    reads = ("heatmap",)

    def __init__(
        self,
        *,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        blur_kernel_size: int = 11,
        combined: bool = False,
        radius_factor: float = 0.0546875,
        shift_heatmap: bool = False,
        sigma: float | None = None,
    ) -> None:
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.blur_kernel_size = blur_kernel_size
        self.combined = combined
        self.radius_factor = radius_factor
        self.shift_heatmap = shift_heatmap
        self.sigma = max(heatmap_size) / 32 if sigma is None else sigma

    def encode(
        self, keypoints: Tensor | np.ndarray, visible: Tensor | np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """Gaussians of height 1 around the keypoints, cut off at three sigma; or, if combined,
        discs and the offsets to their centres.

        Args:
            keypoints: (N, K, 2), in pixels of the input.
            visible: (N, K), 0 to 1; below 0.5 a keypoint's map is zero.

        Returns:
            Maps (N, K, h, w), or (N, 3 * K, h, w) if combined, shaped as
            the network's output, and weights (N, K): `visible`, but 0 for a keypoint more than
            three sigma outside of the maps (not if combined). float32, on the keypoints' device.

        Raises:
            InputError: shapes that do not fit each other.
        """
        keypoints, visible = keypoint_tensors(keypoints, visible)
        steps = np.subtract(self.heatmap_size, 1) / np.subtract(self.input_size, 1)
        cells = keypoints * keypoints.new_tensor(steps.tolist())
        if self.combined:
            radius = self.radius_factor * max(self.heatmap_size)
            maps = _offset_maps(cells, self.heatmap_size, radius)  # (N, K, 3, h, w)
            seen = (visible >= 0.5)[..., None, None, None]
            return maps.where(seen, 0.0).flatten(1, 2), visible.clone()
        nearest = (cells + 0.5).trunc()
        reach = 3 * self.sigma
        drawn, weights = drawn_and_weights(nearest, visible, self.heatmap_size, [reach, reach])
        maps = _gaussian_maps(cells, self.heatmap_size, self.sigma, window=nearest)
        return maps.where(drawn[..., None, None], 0.0), weights

    def decode(self, outputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The maximum of each map.

        Args:
            outputs: (N, K, h, w), or (N, 3 * K, h, w) if combined: map, x and y of a keypoint in
                turn.

        Returns:
            Keypoints (N, K, 2) in pixels of the input, and scores (N, K): the maxima. Where one is
            not positive, the keypoint is near cell (-1, -1), as in MMPose.

        Raises:
            InputError: maps of another size.
        """
        maps = _check_size(outputs, self.heatmap_size)
        if self.combined:
            maps, *shifts = maps.unflatten(1, (-1, 3)).unbind(dim=2)  # (N, K, h, w) each
            maps = _gaussian_blur(maps, 2 * self.blur_kernel_size + 1, border="reflect")
            cells, scores = _maxima(maps)
            unit = self.radius_factor * max(self.heatmap_size)
            steps = [_around(shift, cells, radius=0)[..., 0, 0] * unit for shift in shifts]
            offsets = np.stack(steps, axis=-1)
        else:
            cells, scores = _maxima(maps)
            blurred = _blur_keeping_maximum(maps, self.blur_kernel_size)
            offsets = _udp_offsets(np.log(_around(blurred, cells, radius=1).clip(1e-3, 50)))
        peaks = cells.cpu().numpy() + offsets
        # The last cell lies at the input's whole size, not at its last pixel, as in the reference,
        # which takes the whole size again to map keypoints back to the image.
        scale = np.divide(self.input_size, np.subtract(self.heatmap_size, 1))
        return (peaks * scale).astype(np.float32), scores.cpu().numpy()

    def flip(self, outputs: Tensor, flip_indices: Sequence[int] | Tensor) -> Tensor:
        """Turns the maps of a mirrored input into those of the input itself."""
        order = torch.as_tensor(flip_indices, device=outputs.device)
        if not self.combined:
            return _mirror(outputs[:, order], shift=self.shift_heatmap)
        groups = outputs.unflatten(1, (-1, 3))[:, order]  # (N, K, 3, h, w)
        maps, x, y = groups.unbind(dim=2)
        turned = torch.stack([maps, -x, y], dim=2)  # an offset in x changes sides
        return _mirror(turned.flatten(1, 2), shift=self.shift_heatmap)


def _gaussian_maps(
    centers: Tensor, size: tuple[int, ...], sigma: float, *, window: Tensor | None
) -> Tensor:
    """(N, K, 2) -> (N, K, h, w), zero more than three sigma from `window` (N, K, 2) in x or y."""
    x, y = (
        gaussians(
            centers[..., axis],
            size[axis],
            sigma,
            window=None if window is None else window[..., axis],
            reach=3 * sigma,
        )
        for axis in (0, 1)
    )
    return y[..., :, None] * x[..., None, :]


def _offset_maps(centers: Tensor, size: tuple[int, ...], radius: float) -> Tensor:
    """A disc of 1 around each centre, and the steps to it in x and y in radii.

    (N, K, 2) -> (N, K, 3, h, w)
    """
    width, height = size
    columns = torch.arange(width, device=centers.device)
    rows = torch.arange(height, device=centers.device)[:, None]
    dx = (centers[..., 0, None, None] - columns) / radius  # (N, K, 1, w)
    dy = (centers[..., 1, None, None] - rows) / radius  # (N, K, h, 1)
    disc = (dx**2 + dy**2 <= 1).to(dx)
    return torch.stack([disc, dx.expand_as(disc), dy.expand_as(disc)], dim=2)


def _check_size(outputs: Tensor, heatmap_size: tuple[int, ...]) -> Tensor:
    width, height = heatmap_size
    if outputs.ndim != 4 or tuple(outputs.shape[2:]) != (height, width):
        raise InputError(
            f"expected heatmaps (N, K, {height}, {width}), found {tuple(outputs.shape)}: does "
            "the codec's heatmap_size belong to the network's input_size?"
        )
    return outputs.detach().float()


def _mirror(maps: Tensor, *, shift: bool) -> Tensor:
    mirrored = maps.flip(-1)
    if shift:
        mirrored = torch.cat([mirrored[..., :1], mirrored[..., :-1]], dim=-1)
    return mirrored


def _gaussian_blur(maps: Tensor, kernel_size: int, *, border: str) -> Tensor:
    """Separable Gaussian of OpenCV's weights over (N, K, h, w); `border` as in `pad`.

    A sum over shifted maps rather than a convolution: some GPUs round a convolution's factors to
    10 bits by default, which the second differences of a logarithm would show.
    """
    weights = cv2.getGaussianKernel(kernel_size, 0).ravel().tolist()
    height, width = maps.shape[-2:]
    padded = nn.functional.pad(maps, (kernel_size // 2,) * 4, mode=border)
    rows = padded.new_zeros(*padded.shape[:-1], width)
    for start, weight in enumerate(weights):
        rows.add_(padded.narrow(-1, start, width), alpha=weight)
    blurred = maps.new_zeros(maps.shape)
    for start, weight in enumerate(weights):
        blurred.add_(rows.narrow(-2, start, height), alpha=weight)
    return blurred


def _blur_keeping_maximum(maps: Tensor, kernel_size: int) -> Tensor:
    """Blurred maps, zero outside of them, scaled so that each maximum stays what it was."""
    blurred = _gaussian_blur(maps, kernel_size, border="constant")
    return blurred * (maps.amax((2, 3), keepdim=True) / blurred.amax((2, 3), keepdim=True))


def _maxima(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Cells (N, K, 2) of the maxima, x and y, and the maxima (N, K).

    A maximum that is not positive counts as none; its cell is (-1, -1).
    """
    scores, indices = largest(maps.flatten(2))
    width = maps.shape[-1]
    cells = torch.stack([indices % width, indices // width], dim=-1)
    return torch.where(scores[..., None] > 0, cells, -1), scores


def _around(maps: Tensor, cells: Tensor, *, radius: int) -> np.ndarray:
    """The values around a cell of each map, [y, x].

    Beyond a border the outermost cell counts. Around cell (-1, -1), which is outside, MMPose reads
    the end of the previous keypoint's map; so does this.

    Args:
        maps: (N, K, h, w).
        cells: (N, K, 2), x and y.
        radius: values on each side of the cell.

    Returns:
        (N, K, 2 * radius + 1, 2 * radius + 1).
    """
    padded = nn.functional.pad(maps, (radius,) * 4, mode="replicate") if radius else maps
    num_maps, height, width = padded.shape[1:]
    steps = torch.arange(2 * radius + 1, device=maps.device)
    x = cells[..., 0, None, None] + steps  # (N, K, 1, S)
    y = cells[..., 1, None, None] + steps[:, None]  # (N, K, S, 1)
    first = torch.arange(num_maps, device=maps.device)[:, None, None] * (height * width)
    indices = (first + y * width + x) % (num_maps * height * width)
    return padded.flatten(1).gather(1, indices.flatten(1)).view(indices.shape).cpu().numpy()


def _quarter_offsets(
    around: np.ndarray, peaks: np.ndarray, heatmap_size: tuple[int, ...]
) -> np.ndarray:
    """A quarter of a cell towards the larger neighbour, (N, K, 3, 3) -> (N, K, 2)."""
    width, height = heatmap_size
    x, y = peaks[..., 0], peaks[..., 1]
    # The reference leaves out more of the border than it must.
    x_inside = (x > 1) & (x < width - 1) & (y > 0)
    y_inside = (y > 1) & (y < height - 1) & (x > 0)
    dx = np.where(x_inside, around[..., 1, 2] - around[..., 1, 0], 0)
    dy = np.where(y_inside, around[..., 2, 1] - around[..., 0, 1], 0)
    return 0.25 * np.sign(np.stack([dx, dy], axis=-1))


def _dark_offsets(log: np.ndarray, peaks: np.ndarray, heatmap_size: tuple[int, ...]) -> np.ndarray:
    """The Taylor step to the maximum of log maps, (N, K, 5, 5) -> (N, K, 2); zero at the border."""
    log = log.astype(np.float64)
    dx = (log[..., 2, 3] - log[..., 2, 1]) / 2
    dy = (log[..., 3, 2] - log[..., 1, 2]) / 2
    dxx = (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0]) / 4
    dyy = (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2]) / 4
    dxy = (log[..., 3, 3] - log[..., 1, 3] - log[..., 3, 1] + log[..., 1, 1]) / 4
    inside = ((peaks > 1) & (peaks < np.subtract(heatmap_size, 2))).all(axis=-1, keepdims=True)
    return np.where(inside, _newton_step(dx, dy, dxx, dyy, dxy), 0)


def _udp_offsets(log: np.ndarray) -> np.ndarray:
    """As `_dark_offsets` with UDP's differences, (N, K, 3, 3) -> (N, K, 2)."""
    log = log.astype(np.float64)
    center, left, right = log[..., 1, 1], log[..., 1, 0], log[..., 1, 2]
    above, below = log[..., 0, 1], log[..., 2, 1]
    dx, dy = (right - left) / 2, (below - above) / 2
    dxx, dyy = right - 2 * center + left, below - 2 * center + above
    corners = log[..., 2, 2] + log[..., 0, 0]
    dxy = (corners - right - below + 2 * center - left - above) / 2
    # A flat map has no curvature to divide by.
    tiny = np.finfo(np.float32).eps
    return _newton_step(dx, dy, dxx + tiny, dyy + tiny, dxy)


def _newton_step(
    dx: np.ndarray, dy: np.ndarray, dxx: np.ndarray, dyy: np.ndarray, dxy: np.ndarray
) -> np.ndarray:
    """The step to where the quadratic with these derivatives is stationary; zero if nowhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
        step = step / (dxx * dyy - dxy * dxy)[..., None]
    return np.where(np.isfinite(step).all(axis=-1, keepdims=True), step, 0)
