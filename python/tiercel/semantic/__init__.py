"""Caches of answers: to the same search, and to one that is near enough to prove its answer.

`QueryCache` answers what was asked before, word for word. `SemanticCache` answers near queries from the lists of earlier ones, and proves
that the answer is that of an exact search where it can. `SemanticCache.payloads` keeps anything else by query vector.
"""

from tiercel.semantic.payloads import Hit, PayloadCache, PayloadStats
from tiercel.semantic.query import QueryCache, QueryStats
from tiercel.semantic.results import SemanticCache, SemanticStats

__all__ = ["Hit", "PayloadCache", "PayloadStats", "QueryCache", "QueryStats", "SemanticCache", "SemanticStats"]
