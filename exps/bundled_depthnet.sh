#!/usr/bin/env bash
# The bundled model pretrained/depthnet_gan: DepthNet+GAN on a folder in 3DFAW's layout (ours: 5,293 photos with 3DMM fits).
# Expected: see pretrained/depthnet_gan/README.md.
# Hardware: one CPU core, about 8 minutes for 40 epochs of five seeds.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth bundled_depthnet 40 --dnorm 0.1
score_depth 'bundled DepthNet+GAN' none bundled_depthnet
"$PYTHON" -m depthnet.bundle bundled_depthnet/best "${BUNDLE:-$WORK/depthnet_gan}" --run 0 --dataset "$DEPTH_DATASET" --config "$CONFIG"
