"""Arrangements of shards that wait for their next evaluation, in less memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..design.arrangement import Arrangement

AnyArray = npt.NDArray[Any]

#: Arrays of a row index with one number for each row, most of which are small whole numbers or all the same.
OF_ROWS = ("y", "trials", "offset")
#: Types of whole numbers, the smallest first.
SMALL = (np.uint8, np.int16, np.int32)


@dataclass(frozen=True)
class PackedArray:
    """An array in the smallest form from which it can be restored to the last bit.

    Attributes
    ----------
    content : ndarray, shape (1,) or (n,)
        A number that all entries have, or the entries, as small whole numbers if they are.
    length : int
    dtype : numpy.dtype
        Of the array.
    """

    content: AnyArray
    length: int
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, array: AnyArray) -> PackedArray:
        """Pack an array of one dimension, of floating-point or whole numbers of eight bytes."""
        # Compared as bits, since -0.0 equals 0.0.
        if len(array) and (array.view(np.int64) == array.view(np.int64)[0]).all():
            return cls(array[:1].copy(), len(array), array.dtype)
        for small in SMALL if len(array) else ():
            limits = np.iinfo(small)
            if limits.min <= array.min() and array.max() <= limits.max:
                content = array.astype(small)
                if np.array_equal(content.astype(array.dtype).view(np.int64), array.view(np.int64)):
                    return cls(content, len(array), array.dtype)
        return cls(array, len(array), array.dtype)

    def array(self) -> AnyArray:
        """The array, in memory of its own unless it could not be packed."""
        if len(self.content) != self.length:
            return np.full(self.length, self.content[0], dtype=self.dtype)
        return self.content.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class PackedArrangement:
    """An arrangement whose arrays of rows are packed.

    Attributes
    ----------
    rest : Arrangement
        Everything else.
    row_of : PackedArray
    of_rows : dict of str to PackedArray
        Arrays of the row index.
    """

    rest: Arrangement
    row_of: PackedArray
    of_rows: dict[str, PackedArray]

    @classmethod
    def of(cls, arrangement: Arrangement) -> PackedArrangement:
        """Pack an arrangement."""
        row_index = arrangement.row_index
        packed = {name: PackedArray.of(getattr(row_index, name)) for name in OF_ROWS}
        nothing: dict[str, Any] = dict.fromkeys(OF_ROWS, np.empty(0))
        rest = replace(arrangement, row_index=row_index._replace(**nothing), row_of=np.empty(0, dtype=np.int64))
        return cls(rest, PackedArray.of(arrangement.row_of), packed)

    def unpacked(self) -> Arrangement:
        """The arrangement as it was."""
        arrays = {name: packed.array() for name, packed in self.of_rows.items()}
        row_index = self.rest.row_index._replace(**arrays)
        return replace(self.rest, row_index=row_index, row_of=self.row_of.array())
