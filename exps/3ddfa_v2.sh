#!/usr/bin/env bash
# 3DDFA_V2 (ECCV 2020), ablation: fWPDC, VDC after it, vanilla joint, meta-joint, meta-joint with landmark regression,
# and with short videos of 8 frames in the place of stills.
# Expected on AFLW2000-3D: 4.04, 3.88, 3.80, 3.73, 3.59, 3.51 (notes on the paper, second hand). Hardware: one GPU, days.
# Learning rate, epochs and schedule were never published: those of 3DDFA stand in. Not run here: the crops are licensed.
# Data: 3DDFA's train.configs, train_aug_120x120, test.configs and test.data below $TDDFA (default data/3ddfa).
# SMOKE=1 runs the first two and the last in seconds on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn_heads
common=(-b 128 --base-lr 0.02 --warmup 5 --milestones 30 40 --clip-norm 1)
train_regressor 50 --sessionname v2_fwpdc --loss fwpdc "${common[@]}"
score_regressor '3DDFA_V2 fWPDC, AFLW2000-3D' '4.04 (second hand)' -c v2_fwpdc
train_regressor 100 -r v2_fwpdc --sessionname v2_vdc --loss vdc -b 128 --base-lr 1e-5 --milestones 30 40 --clip-norm 1
score_regressor '3DDFA_V2 VDC from fWPDC, AFLW2000-3D' '3.88 (second hand)' -c v2_vdc
if [ "${SMOKE:-0}" != 1 ]; then  # the last run has all that these have
  train_regressor 50 --sessionname v2_vanilla --loss vanilla "${common[@]}"
  score_regressor '3DDFA_V2 vanilla joint, AFLW2000-3D' '3.80 (second hand)' -c v2_vanilla
  train_regressor 50 --sessionname v2_meta --loss meta --meta-steps 100 "${common[@]}"
  score_regressor '3DDFA_V2 meta-joint, AFLW2000-3D' '3.73 (second hand)' -c v2_meta
  train_regressor 50 --sessionname v2_meta_lrr --loss meta --meta-steps 100 --lrr 1 "${common[@]}"
  score_regressor '3DDFA_V2 meta-joint + lrr, AFLW2000-3D' '3.59 (second hand)' -c v2_meta_lrr
fi
train_regressor 50 --sessionname v2_meta_svs --loss meta --meta-steps 100 --lrr 1 --video-frames 8 "${common[@]}"
score_regressor '3DDFA_V2 meta-joint + lrr + svs, AFLW2000-3D' '3.51 (second hand)' -c v2_meta_svs
