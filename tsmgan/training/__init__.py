"""Training: inverse-stretched pairs, a differentiable vocoder stage, critics, and the alternating game between them and the generator.

In the order of use: `recipe` (what to do), `data` (pairs from a folder of recordings), `network` (the generator), `stage` (the vocoder
stage with gradients), `losses`, `divergences` and `critics` (what is minimised), `trainer` (the game). Everything here needs the extra
`tsmgan[train]`; nothing outside this package imports torch.
"""
