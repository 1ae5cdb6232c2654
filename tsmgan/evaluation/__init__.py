"""How quality is measured: pairs with an exact reference, measures, other stretchers beside ours, and the table that compares them.

In the order of the data: `signals` (arrays made comparable), the measures (`perceptual`, `spectral`, `voice`, `stereo`, `level`, listed in
`measures`), `artefacts` (measures that need no reference, run by `meter`), `peers` and `methods` (what is measured), `pairs` (what it is
measured on; `making` makes more, with `world` and `scores`), `runner` (rows of figures, with `workers`), `statistics` and `summary` (means
and intervals), `report` (tables and files).
"""
