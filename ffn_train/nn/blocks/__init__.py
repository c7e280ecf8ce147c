"""Blocks: what stands in the residual branch, and how branch and skip path are joined.

The modules of this folder are imported here so that each one's choices are declared; a new block
is a new module and a new file in ``conf/block/``.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
