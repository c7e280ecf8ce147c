"""The commands behind ``python -m ffn_train...``; nothing imports them but their ``__main__``s."""
