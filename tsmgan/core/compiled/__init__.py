"""Compiled loops and transforms that start fast: numba without its import, and SciPy's transforms without SciPy's."""
