"""METHODS: every way of choosing an allocation, by the name people type.

A new method is one file with a `search` function, and one line here.
"""

from agents import random_search, uniform
from agents.amed import amed
from agents.haq import haq
from agents.hawq import hawq
from agents.mckp import mckp
from agents.nsga2 import nsga2
from agents.ompq import ompq
from agents.ppo import ppo
from agents.qbitopt import qbitopt
from agents.search import Search

__all__ = ["METHODS"]

METHODS: dict[str, Search] = {
    "amed": amed.search,
    "haq": haq.search,
    "hawq": hawq.search,
    "mckp": mckp.search,
    "nsga2": nsga2.search,
    "ompq": ompq.search,
    "ppo": ppo.search,
    "qbitopt": qbitopt.search,
    "random": random_search.search,
    "uniform": uniform.search,
}
