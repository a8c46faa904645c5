"""Captions of a report's figures: sentences on what they show."""

from __future__ import annotations

CAPTIONS = {
    "dice_vs_labels": "Mean test Dice of each start by the amount of labels, with 95% confidence intervals.",
    "differences": "Difference in test Dice from the reference, with 95% confidence intervals.",
    "paired_subjects": "Mean test Dice of each subject with and without pretraining.",
    "label_efficiency": "How many times the labels the reference needs for equal Dice, with 95% confidence intervals.",
    "importance": "Share of the variance of the validation metric that each setting explains, with 95% intervals.",
    "sensitivity": "Validation metric of every trial against each searched setting; hollow: stopped early.",
    "parallel_coordinates": "Settings of every completed trial as one line, colored by its validation metric.",
    "pareto": "Completed trials by their two objectives, with the Pareto front of each start.",
    "learning_curves": "Pretext loss and the replicates' validation metric by epoch; thick: mean of the jobs.",
    "overlays": "Outlines of reference and predictions on easy and hard test images.",
    "worst_cases": "Test images with the lowest Dice, with the outlines of reference and prediction.",
    "embedding_map": "Test images embedded by the pretrained backbones.",
    "pseudo_labels": "Quality of the pseudo-labels by their position between the labelled frames.",
    "smoothness": "Smoothness of the segmented area over time, for each start.",
    "bland_altman": "Agreement of measured and reference ventricular volumes (Bland and Altman).",
    "area_curves": "Segmented area over time in test sequences.",
    "sequence": "Predictions on a test sequence, frame by frame.",
}
"""Caption by the name of the figure's file."""


def caption(name: str) -> str:
    """Return the caption of a figure.

    Args:
        name: file name of the figure without suffix.
    """
    return CAPTIONS.get(name, f"{name.replace('_', ' ').capitalize()}.")
