"""Settings of the downstream stage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from trainables.augment.policy import Policy
from trainables.common.added import ADDED
from trainables.data.sampling.targets import Targets
from trainables.downstream.losses import DiceCrossEntropy, Loss
from trainables.downstream.transfer import Transfer
from trainables.engine.settings import FitSettings
from trainables.metrics.case_metric import CaseMetric

BatchNorm = Literal["batch", "recalibrated", "frozen"]
"""Statistics of batch norm in fine-tuning: of each batch, of all training frames, or of the pretraining."""

Validation = Literal["all", "same", "cross_validation", "none"] | int
"""Labelled subjects that choose epoch and configuration."""

Test = Literal["split", "folds"]
"""Subjects of the test results: those of the test split, or those that each fold leaves out."""


@dataclass(frozen=True)
class DownstreamSettings:
    """Settings of the downstream stage.

    Attributes:
        label_fraction: fraction of the labelled training subjects to train on, in (0, 1]; 1 uses all.
        labels: number of labelled training subjects, at least 1, instead of `label_fraction`; None uses the fraction.
        views: names of the views whose labelled frames are used for training and evaluation; None uses all views.
        targets: frames to train on. "labelled": all labelled frames of the dataset. "ed_es": end-diastole and
            end-systole only. "propagated": those two and the pseudo-labels of the frames between them. With the last
            two, validation and test use end-diastole and end-systole only, and test segments complete sequences.
        validation: labelled subjects that choose epoch and configuration. "all": those of the validation split.
            "same": the share of them (or, with `labels`, the number) that applies to the training subjects. A number
            from 1 up: so many of them. "cross_validation": none of them; each of the `folds` leaves out some of the
            chosen training subjects. "none": no validation; the last epoch's weights are kept.
        folds: number of cross-validation folds over the chosen training and validation subjects together, at least 2;
            the networks' mean probabilities segment the test split. None trains one network on the given splits.
        test: subjects of the test results. "split": those of the test split. "folds": every labelled training subject,
            segmented by the network of the fold that leaves it out, so that a dataset without a test split is tested
            whole (interleaved test); the weights of the last epoch are kept, as nothing is left to choose by.
        transfer: selection of the pretrained weights that are loaded and fine-tuned.
        batch_norm: statistics of batch norm. "batch": of each training batch, with running averages for evaluation.
            "recalibrated": the same in training, and for evaluation those of all frames of the training split, labelled
            or not. "frozen": in a pretrained backbone those of its pretraining throughout; other parts as "batch".
        loss: training loss of logits against class indices.
        fit: epochs, batch size, optimizer and further settings of the training loop.
        augment: augmentation policy, applied to images and masks together.
        metrics: further metrics of the test cases, beside Dice and the surface distances.
    """

    label_fraction: float = 1.0
    labels: int | None = None
    views: tuple[str, ...] | None = None
    targets: Targets = "labelled"
    validation: Validation = field(default="all", metadata=ADDED)
    folds: int | None = None
    test: Test = field(default="split", metadata=ADDED)
    transfer: Transfer = field(default_factory=Transfer)
    batch_norm: BatchNorm = "batch"
    loss: Loss = field(default_factory=DiceCrossEntropy)
    fit: FitSettings = field(default_factory=FitSettings)
    augment: Policy = field(default_factory=Policy.mild)
    metrics: tuple[CaseMetric, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        if not 0 < self.label_fraction <= 1:
            raise ValueError(f"label_fraction is {self.label_fraction}, expected a share in (0, 1]")
        if self.labels is not None and self.labels < 1:
            raise ValueError(f"labels is {self.labels}, expected at least 1 subject")
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"folds is {self.folds}, expected a whole number from 2 up")
        if self.batch_norm == "recalibrated" and self.transfer.method is not None:
            raise ValueError("batch_norm is recalibrated: multitask shares its backbone's statistics, expected batch")
        if self.batch_norm == "recalibrated" and self.fit.overlap_evaluation:
            raise ValueError("batch_norm is recalibrated, which evaluates first; expected overlap_evaluation: false")
        if self.folds is not None and self.transfer.method is not None:
            raise ValueError(f"folds is {self.folds}: multitask trains one network, expected null")
        self._check_validation()
        self._check_test()
        if self.augment.strength == "auto":
            raise ValueError("augment.strength is auto, which is found by pretraining only; expected a number")
        if self.augment.size is not None:
            text = "frames are segmented at the size at which they are stored"
            raise ValueError(f"augment.size is {self.augment.size}: {text}, expected null")

    def shortened(self) -> DownstreamSettings:
        """Return the settings of a rehearsal: at most two folds, and pseudo-labels of every subject that has some.

        A rehearsal propagates labels to a few subjects only, which may be fewer than `labels`.
        """
        labels = {"labels": None, "label_fraction": 1.0} if self.targets == "propagated" else {}
        return replace(self, folds=self.folds and 2, **labels)  # type: ignore[arg-type]

    def _check_validation(self) -> None:
        if isinstance(self.validation, int) and self.validation < 1:
            raise ValueError(f"validation is {self.validation}, expected at least 1 subject, or none")
        if self.validation == "cross_validation" and self.folds is None:
            raise ValueError("validation is cross_validation, but folds is null. Fix: set folds to 2 or more")
        if self.validation != "none":
            return
        if self.folds is not None and self.test == "split":
            text = f"validation is none, but each of {self.folds} folds validates on subjects that it leaves out"
            raise ValueError(f"{text}. Fix: set validation to cross_validation, folds to null, or test to folds")
        if self.fit.schedule.follows_metric:
            name = type(self.fit.schedule).__name__.lower()
            text = f"validation is none, but the {name} schedule follows the validation score"
            raise ValueError(f"{text}. Fix: choose another fit.schedule, or another validation")

    def _check_test(self) -> None:
        if self.test == "split":
            return
        if self.folds is None:
            raise ValueError("test is folds, but folds is null. Fix: set folds to 2 or more, or test to split")
        if self.validation != "none":
            text = "test is folds, so that the subjects that a fold leaves out are tested and must not choose its epoch"
            raise ValueError(f"{text} (validation is {self.validation}). Fix: set validation to none, or test to split")
        if self.batch_norm == "recalibrated":
            raise ValueError("batch_norm is recalibrated, which reads the images of tested subjects; expected batch")

    @property
    def uses_validation_split(self) -> bool:
        """True if subjects of the validation split are used."""
        return self.validation not in ("cross_validation", "none")

    @property
    def validation_share(self) -> tuple[float | None, int | None]:
        """Share or number of the validation split's labelled subjects to use; the other is None."""
        if isinstance(self.validation, int):
            return None, self.validation
        if self.validation == "same":
            return (None, self.labels) if self.labels is not None else (self.label_fraction, None)
        return 1.0, None

    @property
    def epochs(self) -> int:
        """Total number of epochs over all folds."""
        return self.fit.epochs * (self.folds or 1)
