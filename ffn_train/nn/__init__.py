"""The numerical core: layers and their pullbacks, the stack, losses, update rules, engines."""
