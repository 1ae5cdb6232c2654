"""Many recordings at once: a plan of tasks, a manifest of what is done, and processes that work through what is left.

    plan -> manifest -> work -> pool -> run

`plan` turns folders, patterns and lists into tasks, `manifest` remembers results from one run to the next, `work` does one task,
`pool` keeps processes busy and replaces those that die, `run` joins them.
"""
