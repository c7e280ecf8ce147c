"""Update rules and learning-rate schedules; they work on flat vectors and hold no state."""
