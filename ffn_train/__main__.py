"""python -m ffn_train"""

from ffn_train.commands.train import main

if __name__ == "__main__":
    main()
