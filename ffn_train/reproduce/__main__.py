"""python -m ffn_train.reproduce"""

from ffn_train.commands.reproduce import main

if __name__ == "__main__":
    main()
