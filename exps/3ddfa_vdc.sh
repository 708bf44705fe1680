#!/usr/bin/env bash
# 3DDFA (TPAMI 2017, its PyTorch repository): MobileNet trained with VDC from scratch, and VDC after WPDC, its best recipe.
# Expected on AFLW2000-3D: 5.030 ± 1.044 and 4.252 ± 0.976 (README of 3DDFA, sure). Hardware: one GPU, two days, after 3ddfa_wpdc.sh.
# Not run here: the crops are licensed.
# Data: 3DDFA's train.configs, train_aug_120x120, test.configs and test.data below $TDDFA (default data/3ddfa).
# SMOKE=1 runs the same commands in seconds on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn_heads
vdc=(--loss vdc -b 512 --base-lr 1e-5 --milestones 30 40)
train_regressor 50 --sessionname 3ddfa_vdc "${vdc[@]}"
score_regressor '3DDFA vdc, AFLW2000-3D' '5.030 (README of 3DDFA)' -c 3ddfa_vdc
first=3ddfa_wpdc
if [ "${SMOKE:-0}" = 1 ]; then
  first=3ddfa_wpdc_first
  train_regressor 50 --sessionname "$first" --loss wpdc
fi
train_regressor 100 -r "$first" --sessionname 3ddfa_wpdc_vdc "${vdc[@]}"
score_regressor '3DDFA wpdc then vdc, AFLW2000-3D' '4.252 (README of 3DDFA)' -c 3ddfa_wpdc_vdc
