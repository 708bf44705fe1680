#!/usr/bin/env bash
# 3DDFA (TPAMI 2017, its PyTorch repository): MobileNet trained with PDC. Upstream's train_pdc.sh passes --loss=vdc; this one means it.
# Expected on AFLW2000-3D: 5.644 ± 1.323 (README of 3DDFA, sure). Hardware: one GPU, a day. Not run here: the crops are licensed.
# Data: 3DDFA's train.configs, train_aug_120x120, test.configs and test.data below $TDDFA (default data/3ddfa).
# SMOKE=1 runs the same commands in seconds on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn_heads
train_regressor 50 --sessionname 3ddfa_pdc --loss pdc -b 256 --base-lr 0.01 --warmup 5 --milestones 30 40
score_regressor '3DDFA pdc, AFLW2000-3D' '5.644 (README of 3DDFA)' -c 3ddfa_pdc
