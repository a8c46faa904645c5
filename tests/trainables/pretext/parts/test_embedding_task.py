import pytest
import torch

from trainables.pretext.barlow import barlow_loss
from trainables.pretext.byol import byol_loss
from trainables.pretext.moco import info_nce
from trainables.pretext.parts.embedding_task import at_least_float32
from trainables.pretext.parts.nt_xent import nt_xent
from trainables.pretext.vicreg import vicreg_terms

LOSSES = {
    "simclr": lambda one, two: nt_xent(one, two, 0.1)[0],
    "byol": byol_loss,
    "moco": lambda one, two: info_nce(one, two, 0.2)[0],
    "vicreg": lambda one, two: torch.stack(list(vicreg_terms(one, two).values())).sum(),
    "barlow": lambda one, two: barlow_loss(one, two, 0.005),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_losses_of_half_precision_embeddings_have_single_precision(name, half):
    one, two = torch.randn(2, 64, 16, generator=torch.Generator().manual_seed(0)).to(half)
    with torch.autocast("cpu", dtype=half):
        loss = LOSSES[name](one, two)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(LOSSES[name](one.double(), two.double()).item(), rel=1e-5)


def test_double_precision_stays():
    single, double = at_least_float32(torch.ones(1, dtype=torch.float16), torch.ones(1, dtype=torch.float64))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
