"""Caches of search results: for equal queries, and for near queries with a proof.

`QueryCache` answers repeated searches. `SemanticCache` answers near queries from the results of
earlier ones, and proves where it can that the answer is that of an exact search.
`SemanticCache.payloads` caches anything else by query vector.
"""

from tiercel.semantic.payloads import Hit, PayloadCache, PayloadStats
from tiercel.semantic.query import QueryCache, QueryStats
from tiercel.semantic.results import SemanticCache, SemanticStats

__all__ = ["Hit", "PayloadCache", "PayloadStats", "QueryCache", "QueryStats", "SemanticCache", "SemanticStats"]
