"""python -m ffn_train.compare"""

from ffn_train.commands.compare import main

if __name__ == "__main__":
    main()
