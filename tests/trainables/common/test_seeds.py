import torch

from trainables.common.seeds import derive, numpy_generator, torch_generator


def test_a_name_gives_the_same_stream_whatever_was_drawn_before():
    first = torch.rand(4, generator=torch_generator(1, "order", 3))
    torch.rand(100)
    assert torch.equal(first, torch.rand(4, generator=torch_generator(1, "order", 3)))
    assert (numpy_generator(1, "a").random(3) == numpy_generator(1, "a").random(3)).all()


def test_names_and_seeds_part_streams():
    seeds = {derive(seed, name, epoch) for seed in range(5) for name in ("order", "augment") for epoch in range(20)}
    assert len(seeds) == 200
    assert derive(1, "a", "b") != derive(1, "ab")
    assert all(0 <= seed < 2**63 for seed in seeds)
