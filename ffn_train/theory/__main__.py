"""python -m ffn_train.theory"""

from ffn_train.commands.theory import main

if __name__ == "__main__":
    main()
