"""What moves with the sound: files beside the output whose times go along the time map.

    time map -> **follower -> files**

A new kind is a file with a class that does what `Follower` says, and a line in `choose`.
"""

from tsmgan.followers.choice import choose
from tsmgan.followers.follower import Followed, Follower, Moved

__all__ = ["Followed", "Follower", "Moved", "choose"]
