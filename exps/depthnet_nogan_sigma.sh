#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), DepthNet with the ridge of the first version: exp1_lamb1_sd5_nogan_sigma0.05 of the authors.
# Expected values are not published; the authors' last version has no --sigma.
# Hardware: a CPU core (about 3 s per epoch of 13,671 pairs and seed without, 12 s with a critic) or any GPU.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth nogan_sigma 100 --no-gan --sigma 0.05
score_depth 'DepthNet, ridge 0.05' none nogan_sigma
