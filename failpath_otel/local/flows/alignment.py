"""The vertical positions in a layered graph, so that edges are straight and branches symmetrical."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import floor
from typing import Final

from failpath_otel.local.flows.layers import Layers

_SWEEPS: Final = 8
_NODE_WEIGHT: Final = 1000
"""The weight of a node, against 1 of a bend: in a conflict the long edge goes around."""


def aligned(layers: Layers, distance: Callable[[bool, bool], int]) -> list[int]:
    """Return the height of the middle of every item; some are negative.

    ``distance(upper, lower)`` is the least distance between the middles of two items in one column; each argument says
    whether the item is a node.
    """
    heights = [0.0] * len(layers.before)
    offsets = [_offsets(column, layers.size, distance) for column in layers.columns]
    for column, offset in zip(layers.columns, offsets, strict=True):
        for item, at in zip(column, offset, strict=True):
            heights[item] = at - offset[-1] / 2
    forth = list(zip(layers.columns, offsets, strict=True))
    for _ in range(_SWEEPS):
        for column, offset in forth[1:]:
            _settle(column, offset, layers.before, heights, layers.size)
        for column, offset in forth[-2::-1]:
            _settle(column, offset, layers.after, heights, layers.size)
    # Whole distances survive the rounding, because all are rounded the same way.
    return [floor(height + 0.5) for height in heights]


def _offsets(column: Sequence[int], size: int, distance: Callable[[bool, bool], int]) -> list[int]:
    offsets = [0]
    for upper, lower in pairwise(column):
        offsets.append(offsets[-1] + distance(upper < size, lower < size))
    return offsets


def _settle(
    column: Sequence[int], offsets: Sequence[int], neighbours: Sequence[list[int]], heights: list[float], size: int
) -> None:
    """Move each item of a column as near to the middle of its neighbours as order and distances allow.

    Items whose wishes collide become one block, whose place is the mean of the wishes: with the distances taken out
    of the heights this is an isotonic regression, and the blocks are found from top to bottom.
    """
    blocks: list[tuple[float, int, int]] = []
    for item, offset in zip(column, offsets, strict=True):
        mean, weight, items = (
            _wish(item, neighbours[item], heights, size) - offset,
            _NODE_WEIGHT if item < size else 1,
            1,
        )
        while blocks and blocks[-1][0] > mean:
            above, above_weight, above_items = blocks.pop()
            mean = (mean * weight + above * above_weight) / (weight + above_weight)
            weight += above_weight
            items += above_items
        blocks.append((mean, weight, items))
    means = (mean for mean, _, items in blocks for _ in range(items))
    for item, offset, mean in zip(column, offsets, means, strict=True):
        heights[item] = mean + offset


def _wish(item: int, joined: Sequence[int], heights: Sequence[float], size: int) -> float:
    """Return the median height of the neighbours; bends count only if no node is among them."""
    if not joined:
        return heights[item]
    if len(joined) == 1:
        return heights[joined[0]]
    ordered = sorted([heights[other] for other in joined if other < size] or [heights[other] for other in joined])
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
