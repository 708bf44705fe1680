#!/usr/bin/env bash
# GCN_ResNet: a mesh generator of graph convolutions behind a frozen R-Net (see deep3d.sh); AFLW2000-3D NME, mean of the yaw bins.
# First with the losses and generator of GCN_ResNet, then ours: offsets, and true shapes of rendered faces where RENDERED names them.
# Expected: no published number could be found; below that of its R-Net (3.37 in the paper of Deep3D).
# Hardware: one GPU, after the days of deep3d.sh a day. Photos, benchmark and model as there; RENDERED: a folder of
# python -m recon3d.reconstruction.prepare_synthetic. RANGE: reach of the absolute output in dm (the embedded head needs 6, BFM 1).
# SMOKE=1 runs the same commands in a minute on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
weak_data
rnet
published=(--generator published --range-dm "${RANGE:-6}" --w-truth 0 --lr 1e-4 --schedule milestones --variant tf --epochs 20 -b 16)
for name in published ours; do
  options=(--epochs 20)
  [ "$name" = ours ] || options=("${published[@]}")
  "$PYTHON" train_recon3d.py --config "$CONFIG" --stage gcn --rnet deep3d "${WEAK[@]}" --sessionname "gcn_$name" "${options[@]}" "${SIZE[@]}"
  score_weak "GCN_ResNet, $name, AFLW2000-3D" none -c deep3d --refiner "gcn_$name"
done
