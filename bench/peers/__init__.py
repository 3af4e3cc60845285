"""fastrnn against other frameworks: the grid (`python -m bench.peers`) and whole training jobs.

Points and their arrays: `points`, `problem`. One process per framework: `frameworks`, `worker`,
`turns`. What comes out: `results`, `table`, `summary`, `plot`. The jobs: `jobs`.
"""
