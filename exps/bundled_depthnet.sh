#!/usr/bin/env bash
# The bundled model pretrained/depthnet_gan: DepthNet's generator on top of the closed form, source only, with the depths of a
# folder in 3DFAW's layout (ours: 5,293 photos with 3DMM fits); and the closed form alone, pretrained/spectral_depth.
# Expected: see pretrained/depthnet_gan/README.md.
# Hardware: one CPU core, about a minute for 5 epochs of five seeds.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth bundled_depthnet 5 --no-gan --source-only --base spectral --w-depth 10 --lr 1e-3 --schedule cosine
score_depth 'bundled DepthNet, spectral base, supervised' none bundled_depthnet
"$PYTHON" -m depthnet.bundle bundled_depthnet "${BUNDLE:-$WORK/depthnet_gan}" --run 0 --config "$CONFIG"
"$PYTHON" -m depthnet.closed_form "$DEPTH_DATASET" "$WORK/spectral_depth" --config "$CONFIG"
