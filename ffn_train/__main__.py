"""python -m ffn_train"""

from ffn_train.commands.launch import main

if __name__ == "__main__":
    main()
