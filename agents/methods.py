"""METHODS: every way of choosing an allocation, by the name people type.

A new method is one file with a `search` function, and one line here.
"""

from agents import amed, haq, hawq, mckp, nsga2, ompq, ppo, qbitopt, random_search, uniform
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
