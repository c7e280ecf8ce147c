"""python -m ffn_train.gradcheck"""

from ffn_train.commands.gradcheck import main

if __name__ == "__main__":
    main()
