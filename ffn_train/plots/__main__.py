"""python -m ffn_train.plots"""

from ffn_train.commands.plots import main

if __name__ == "__main__":
    main()
