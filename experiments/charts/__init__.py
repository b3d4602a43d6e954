"""Charts: what runs, staircases and comparisons look like, as data and as drawings."""
