"""A logger that writes the loss of each step to a file of its own."""

# mypy: ignore-errors

from ffn_train.parts import Logger, choice


@choice("logger", "csv")
class CsvLogger(Logger):
    """Appends step and loss to loss.csv of the run's directory."""

    def open(self, run, config, first):
        self.path = run / "loss.csv"
        text = self.path.read_text() if self.path.exists() else ""
        lines = [x for x in text.splitlines(True)[1:] if x.endswith("\n")]  # the last may be torn
        kept = [x for x in lines if int(x.split(",")[0]) < first]
        self.path.write_text("step,loss\n" + "".join(kept))

    def log(self, step, scalars, measures):
        with self.path.open("a") as file:
            file.write(f"{step},{scalars.get('loss', float('nan'))!r}\n")
