"""Where a time map comes from: a rate, a length, a file of points ... One file a kind of source; `choose` finds what was asked for.

    recording -> **source -> plan** -> stretch -> recording

A source is made from options alone, before anything is opened. Its `plan` sees the recording, and may hear it.
"""

from tsmgan.maps.choice import choose
from tsmgan.maps.lines import Line
from tsmgan.maps.planned import Planned, plan_file
from tsmgan.maps.source import PauseTime, Plan, Source

__all__ = ["Line", "PauseTime", "Plan", "Planned", "Source", "choose", "plan_file"]
