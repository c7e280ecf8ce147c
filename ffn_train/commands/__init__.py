"""The commands behind ``python -m ffn_train...``; only their ``__main__``s import them."""
