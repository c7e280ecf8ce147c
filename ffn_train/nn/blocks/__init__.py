"""Blocks: what stands in the residual branch, and how branch and skip path are joined.

A new block is a new module of this folder and a file in ``conf/block/``.
"""
