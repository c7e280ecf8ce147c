"""Layers with parameters of their own, and their backward passes."""
