"""How quality is measured: pairs with an exact reference, measures, other stretchers beside ours, and tables that compare them.

In the order of the data: `signals` (arrays made comparable); `pairs` (recordings with their references), which `pair_files` writes from
voices (`world`) and from music (`compositions`); `peers` and `methods` (the stretchers); `measures` (one file each); `runner` (rows of
figures) and `meter` (synthetic signals), with `workers` (processes that may crash); `statistics` and `summary` (means and intervals);
`tables` and `records` (CSV and JSON files).
"""
