"""Blocks: the residual branch, the norm, and how branch and skip path are added.

A new block is a new module of this folder and a file in ``conf/block/``.
"""
