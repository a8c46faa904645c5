"""Registration of the frames of a sequence, and labels carried by it. Similarities by name."""

from trainables.common.registry import Registry
from trainables.registration.similarity import GlobalNCC, LocalNCC, Similarity

SIMILARITIES: Registry[type[Similarity]] = Registry("similarity", {"ncc": GlobalNCC, "local_ncc": LocalNCC})
