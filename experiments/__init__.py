"""What people type: run, evaluate, bench, and the run folder they write."""

from experiments.clash import SIBLINGS, is_command, refuse_clashes
from experiments.terminal.interrupted import tell_interrupts

refuse_clashes(SIBLINGS)
if is_command():
    tell_interrupts()
