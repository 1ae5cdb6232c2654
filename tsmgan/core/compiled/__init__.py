"""Compiled loops without importing numba, and SciPy's transforms without importing SciPy. `docs/start-up.md` says why."""
