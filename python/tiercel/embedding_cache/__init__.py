"""An embedder with a cache, so that no cached text is embedded again.

>>> from tiercel import EmbeddingCache
>>> from tiercel.cache import Memory
>>> from tiercel.embed import HashingEmbedder
>>> embedder = EmbeddingCache(HashingEmbedder(), Memory(64 << 20))
>>> embedder.embed_documents(["a cat", "a hen", "a cat"]).shape
(3, 384)
>>> embedder.embed_documents(["a hen", "an eel"]).shape
(2, 384)
>>> embedder.stats()["texts"], embedder.stats()["embedded"]
(5, 3)
"""

from tiercel.embedding_cache.cached import EmbeddingCache, EmbeddingStats, VectorTier

__all__ = ["EmbeddingCache", "EmbeddingStats", "VectorTier"]
