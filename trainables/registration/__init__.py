"""Registration of the frames of a sequence, and label propagation with it; the registry of similarities."""

from trainables.common.registry import Registry
from trainables.registration.similarity import GlobalNCC, LocalNCC, Similarity

SIMILARITIES: Registry[type[Similarity]] = Registry("similarity", {"ncc": GlobalNCC, "local_ncc": LocalNCC})
