"""Layers of the query network: convolutions, attention, and what grid and queries exchange."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 5


def conv3(inside: int, outside: int) -> nn.Conv2d:
    """A convolution of 3 by 3 that keeps the size of [B, inside, M, L]."""
    return nn.Conv2d(inside, outside, 3, padding=1)


class Residual(nn.Module):
    """Two convolutions of 3 by 3 beside the way through."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, width), nn.SiLU(), conv3(width, width))
        self.second = nn.Sequential(nn.GroupNorm(4, width), nn.SiLU(), conv3(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Maps x [B, width, M, L] after the block, of the same shape."""
        out: Tensor = x + self.second(self.first(x))
        return out


class Attention(nn.Module):
    """Multi-head attention from states to a memory, added to the states; both are normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.memory_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, memory: Tensor, there: Tensor | None = None) -> Tensor:
        """States x [B, n, D] that have attended to memory [B, m, D], as far as `there` [B, m]."""
        b, n, width = x.shape
        size = width // HEADS
        ask = self.ask(self.norm(x)).reshape(b, n, HEADS, size).transpose(1, 2)
        pair = self.answer(self.memory_norm(memory)).reshape(b, -1, 2, HEADS, size)
        keys, values = pair.permute(2, 0, 3, 1, 4)
        mask = None if there is None else there[:, None, None]
        heard = F.scaled_dot_product_attention(ask, keys, values, attn_mask=mask)
        out: Tensor = x + self.out(heard.transpose(1, 2).reshape(b, n, width))
        return out


def _mlp(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
    )


class Exchange(nn.Module):
    """One layer between the grid and the queries."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.over_bands, self.over_time = Attention(width), Attention(width)
        self.to_queries, self.cell_mlp = Attention(width), _mlp(width)
        self.to_cells, self.among, self.query_mlp = Attention(width), Attention(width), _mlp(width)

    def forward(self, x: Tensor, queries: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Grid x [B, M, L, D] and queries [B, K, D], of which those count that are `there`."""
        b, m, length, width = x.shape
        rows = x.flatten(0, 1)  # [B M, L, D]
        rows = self.over_time(rows, rows)
        columns = rows.reshape(x.shape).transpose(1, 2).flatten(0, 1)  # [B L, M, D]
        columns = self.over_bands(columns, columns)
        cells = columns.reshape(b, length, m, width).transpose(1, 2).reshape(b, m * length, width)
        cells = self.to_queries(cells, queries, there)
        cells = cells + self.cell_mlp(cells)
        queries = self.to_cells(queries, cells)
        queries = self.among(queries, queries, there)
        return cells.reshape(x.shape), queries + self.query_mlp(queries)
