"""How fast Tocsin is, each figure beside its reference in the same run: `python -m benchmarks`."""
