"""The engine whose passes Numba compiles."""
