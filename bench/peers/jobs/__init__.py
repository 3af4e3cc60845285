"""Whole training jobs in fastrnn and in PyTorch, on one thread each: `python -m bench.peers.jobs`.

What is trained, on which data, from which initial weights: `problem`. The same job as a user of
each library would write it: `with_fastrnn`, `with_pytorch`, each a program of its own. Time by
turns: `slices`. What comes out: `table`.
"""
