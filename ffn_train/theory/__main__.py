"""python -m ffn_train.theory"""

from ffn_train.commands.launch import run

if __name__ == "__main__":
    run("theory")
