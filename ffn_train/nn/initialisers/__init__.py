"""Initialisers; a new one is a class in a module of this folder."""
