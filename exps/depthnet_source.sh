#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), variants of ours in which the generator does not see the target; the last one is told the true depths.
# Expected nothing published.
# Hardware: a CPU core (about 3 s per epoch of 13,671 pairs and seed without, 12 s with a critic) or any GPU.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth source_nogan 100 --no-gan --source-only
train_depth source_gan 100 --source-only --dnorm 0.1
train_depth source_regression 100 --source-only --no-gan --w-depth 1
for session in source_nogan source_gan source_regression; do score_depth "$session" none "$session"; done
