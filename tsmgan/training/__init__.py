"""Training: inverse-stretched pairs, a differentiable vocoder stage, critics, and the alternating game between them and the generator.

The modules in the order of use:

- What to do: `recipe`.
- What to learn from: `recordings`, `augment`, `inverse`, `items`, `shards`, `clips`, `batch`, `loader`.
- What learns: `network` (the generator), `stage` (the vocoder stage with gradients), `renderer` (both together).
- What is minimised: `losses` and `objective`, `divergences`, `critics` and `adversary`.
- How it goes: `player`, `game`, `validation`, `speed`, `journal`, `ending`, `checkpoint`, `card`, `trainer`.

Everything here needs the extra `tsmgan[train]`. Only this package and `tsmgan.export` import torch.
"""
