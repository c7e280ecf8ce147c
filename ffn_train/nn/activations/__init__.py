"""Activations; a new one is a class with ``@choice`` in a module of this folder."""
