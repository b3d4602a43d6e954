"""METHODS: every way of choosing an allocation, by the name people type.

A new method is one folder (one file where it has no settings), and one line here. Its settings
become the section of its name in every configuration.
"""

from agents import random_search, uniform
from agents.amed import amed
from agents.amed.config import AMEDConfig
from agents.bayes import bayes
from agents.bayes.config import BayesConfig
from agents.clado import clado
from agents.clado.config import CLADOConfig
from agents.evolution import evolution
from agents.evolution.config import EvolutionConfig
from agents.gp import gp
from agents.gp.config import GPConfig
from agents.haq import haq
from agents.haq.config import HAQConfig
from agents.hawq import hawq
from agents.hawq.config import HAWQConfig
from agents.judging.judged import judged
from agents.mckp import mckp
from agents.mckp.config import MCKPConfig
from agents.nsga2 import nsga2
from agents.nsga2.config import NSGA2Config
from agents.ompq import ompq
from agents.ompq.config import OMPQConfig
from agents.ppo import ppo
from agents.ppo.config import PPOConfig
from agents.qbitopt import qbitopt
from agents.qbitopt.config import QBitOptConfig
from agents.search import Method

METHODS: dict[str, Method] = {
    "amed": Method(judged(amed.search), AMEDConfig),
    "bayes": Method(judged(bayes.search), BayesConfig),
    "clado": Method(judged(clado.search), CLADOConfig),
    "evolution": Method(judged(evolution.search), EvolutionConfig),
    "gp": Method(judged(gp.search), GPConfig),
    "haq": Method(judged(haq.search), HAQConfig),
    "hawq": Method(judged(hawq.search), HAWQConfig),
    "mckp": Method(judged(mckp.search), MCKPConfig),
    "nsga2": Method(judged(nsga2.search), NSGA2Config),
    "ompq": Method(judged(ompq.search), OMPQConfig),
    "ppo": Method(judged(ppo.search, ppo.finder_of), PPOConfig),
    "qbitopt": Method(judged(qbitopt.search), QBitOptConfig),
    "random": Method(judged(random_search.search), random_search.RandomConfig),
    "uniform": Method(uniform.search),
}
"""Each with its search and, where it has settings, their class."""
