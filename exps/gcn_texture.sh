#!/usr/bin/env bash
# Texture refinement of Lin et al. (CVPR 2020) behind a frozen R-Net (see deep3d.sh), without and with the WGAN-GP critic.
# Expected: the paper's figures are on CelebA with BFM and FaceNet, whose files are licensed or gone; none can be compared.
# The line holds the landmarks, which do not change; eval_recon3d.py --benchmark photos prints the photometric error beside R-Net's.
# Hardware: one GPU, a day. Photos, benchmark and model as in deep3d.sh; IDENTITY turns on the identity term.
# SMOKE=1 runs the same commands in a minute on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
weak_data
rnet
for name in plain gan; do
  options=(--epochs 50 -b 4)
  [ "$name" = plain ] || options+=(--gan)
  "$PYTHON" train_recon3d.py --config "$CONFIG" --stage gcn_texture --rnet deep3d "${WEAK[@]}" --sessionname "texture_$name" ${IDENTITY:-} "${options[@]}" "${SIZE[@]}"
  score_weak "Lin et al. texture, $name, landmarks" none -c deep3d --refiner none --texture "texture_$name"
done
