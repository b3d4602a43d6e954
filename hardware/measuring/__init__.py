"""How a program is timed: protocol, measurement, ruler, lock. Host, worker and board alike."""
