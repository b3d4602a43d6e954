"""Charts: what runs, staircases and comparisons look like, as data and as drawings."""

import logging

# It warns on stderr where its cache cannot be written, and makes a temporary one.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
