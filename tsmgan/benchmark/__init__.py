"""Speed: of each stage in this process, and of the whole program beside others.

`processes` runs commands and takes their cost, `programs` says which commands, `stages` takes the time of each stage, `results` shows it.
"""
