"""Registration of the frames of a sequence, and labels carried by it. Similarities by name."""

from trainables.registration.similarity import GlobalNCC, LocalNCC, Similarity
from trainables.registry import Registry

SIMILARITIES: Registry[type[Similarity]] = Registry("similarity", {"ncc": GlobalNCC, "local_ncc": LocalNCC})
