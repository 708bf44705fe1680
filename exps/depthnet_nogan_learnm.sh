#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), DepthNet that predicts the affine: exp1_lamb1_sd5_nogan_learnm of the authors.
# Expected values are not published.
# Hardware: a CPU core (about 3 s per epoch of 13,671 pairs and seed without, 12 s with a critic) or any GPU.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth nogan_learnm 100 --no-gan --learn-m
score_depth 'DepthNet, predicted affine' none nogan_learnm
