"""Doors to other programs: run directories of training loops that are not this package's own."""
