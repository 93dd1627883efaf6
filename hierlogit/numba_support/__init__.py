"""How functions are compiled with Numba and how arrays are passed to them."""
