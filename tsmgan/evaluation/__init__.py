"""How quality is measured: pairs with an exact reference, measures, other stretchers beside ours, and the table that compares them.

In the order of the data: `signals` (arrays made comparable), the measures (`perceptual`, `spectral`, `voice`, `stereo`, `timing`, listed in
`measures`), `artefacts` (measures that need no reference), `peers` and `methods` (what is measured), `pairs` (what it is measured on),
`runner` (rows of figures), `statistics` (means and intervals), `report` (tables and files).
"""
