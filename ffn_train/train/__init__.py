"""The training loop, what it measures, and how a step that fails is explained."""
