"""Many recordings at once: a plan of tasks, a manifest of what is done, and workers that go through what is left.

    plan -> manifest -> work -> pool or cluster -> run

`plan` turns folders, patterns and lists into tasks, `manifest` remembers results from one run to the next, `work` does one task,
`pool` keeps processes busy and replaces those that die, `cluster` does the same with Ray's on many machines, `run` joins them.
"""
