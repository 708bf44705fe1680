#!/usr/bin/env bash
# RADAN (Zhou et al., IEEE 2022): PyConvResNet-50 with replay attention, 0.5 WPDC + wing, every batch doubled by cropping and pasting.
# Expected on AFLW2000-3D: 3.623 (comment in the authors' benchmark.py, epoch 37). Hardware: one GPU, days.
# The authors' learning rate and schedule are not in their repositories: those of 3DDFA stand in. Not run here: the crops are licensed.
# Data: 3DDFA's train.configs, train_aug_120x120, test.configs and test.data below $TDDFA (default data/3ddfa).
# SMOKE=1 runs the same commands in seconds on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn_heads
train_regressor 50 --sessionname radan --arch radan --loss radan --jigsaw 1 -b 128 --base-lr 0.02 --warmup 5 --milestones 30 40
score_regressor 'RADAN, AFLW2000-3D' '3.623 (comment of the authors)' -c radan
