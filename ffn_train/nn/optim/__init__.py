"""Update rules and learning-rate schedules; they work on flat vectors and hold no state.

The modules of this folder are imported here so that each one's choices are declared.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
