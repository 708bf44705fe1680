#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), tables 2 and 3, DepthNet: exp1_lamb1_sd5_nogan_sigma0_fixm of the authors.
# Expected DepthCorr 31.1 29.9 30.9 / 32.0 35.8 35.4 / 27.0 28.0 30.9 by pose, keypoint error 6.54e-5 on 3DFAW (README of the authors).
# Hardware: a CPU core (about 3 s per epoch of 13,671 pairs and seed without, 12 s with a critic) or any GPU.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth nogan_fixm 100 --no-gan
score_depth 'DepthNet, solved affine' '31.1 to 35.8 per pose (authors README)' nogan_fixm
