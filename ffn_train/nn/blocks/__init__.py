"""Blocks: the residual branch, the norm, and how branch and skip path are added.

A new block, norm or residual is a class with ``@choice`` in a module of this folder.
"""
