"""fastrnn against other frameworks: the grid (`python -m bench.peers`) and a whole training job.

Points and their arrays: `points`, `problem`. One process per framework: `frameworks`, `worker`,
`turns`. What comes out: `results`, `table`, `summary`, `plot`.
"""
