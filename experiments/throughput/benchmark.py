"""How fast a training step is with each engine, compared with PyTorch, JAX and matrix products.

    python experiments/throughput/benchmark.py              everything, on an otherwise idle machine
    python experiments/throughput/benchmark.py --resume     what outputs/throughput has no table of
    python experiments/throughput/benchmark.py --quick      two small cells, to see that it works

Writes the tables, the figure and the findings in README.md next to this file; with ``--quick`` to
outputs/throughput/quick instead. Needs pip install -e ".[peers,parallel,compiled]" mkl; whoever is
not installed is left out, with a message.
"""

if __name__ == "__main__":  # the processes that it starts import this file as well
    from parts import main

    main()
