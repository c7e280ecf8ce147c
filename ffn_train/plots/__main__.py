"""python -m ffn_train.plots"""

from ffn_train.commands.running import run

if __name__ == "__main__":
    run("plots")
