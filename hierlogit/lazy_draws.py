"""Arrays of values by chain and draw that are computed when they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.intp]


class LazyArray(BackendArray):
    """An array of which only the parts that are read are computed.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    compute : callable
        Function of the positions along each axis that returns the values there, one axis for each.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike, compute: Callable[..., Array]) -> None:
        self.shape, self.dtype, self._compute = shape, np.dtype(dtype), compute

    def __getitem__(self, key: Any) -> Array:
        values: Array = indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)
        return values

    def _read(self, key: tuple[Any, ...]) -> Array:
        positions = [np.atleast_1d(np.arange(size)[part]) for part, size in zip(key, self.shape, strict=True)]
        scalar = tuple(0 if isinstance(part, (int, np.integer)) else slice(None) for part in key)
        values: Array = self._compute(*positions).astype(self.dtype, copy=False)[scalar]
        return values


def lazy_variable(
    dims: tuple[str, ...], shape: tuple[int, ...], compute: Callable[..., Array], dtype: npt.DTypeLike = np.float64
) -> xr.Variable:
    """A variable whose values are computed when they are read; see `LazyArray`.

    Examples
    --------
    >>> squares = lazy_variable(("k",), (1000,), lambda k: k**2)
    >>> squares[[3, 5]].values
    array([ 9., 25.])
    """
    return xr.Variable(dims, indexing.LazilyIndexedArray(LazyArray(shape, dtype, compute)))
