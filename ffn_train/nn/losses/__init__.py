"""Losses; a new one is a new module of this folder."""
