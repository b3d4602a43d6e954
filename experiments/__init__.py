"""What people type: run, evaluate, bench, and the run folder they write."""

from experiments.clash import SIBLINGS, refuse_clashes

refuse_clashes(SIBLINGS)
