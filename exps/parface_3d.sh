#!/usr/bin/env bash
# ParFace-Net (FG 2024), 3D stage of its README: depth head on the 3DA-2D model, 100 epochs on 300W-LP, then its two evaluations.
# Expected with the authors' private files (README, sure): palsy NME 3.786, STD 2.975, FR 0.815 %, AUC .6281, GTE 8.193, STD_GTE 4.374.
# Needs 300W-LP with its 3D points (convert 300wlp --landmarks) and ResNet-18's weights in RESNET18 (not in smoke runs).
# Hardware: one GPU, a day, after parface_stages.sh (session parface_3da; in smoke runs a fresh one).
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn wlp300 aflw20003d palsy celeba
flat=parface_3da
imagenet=(--init-weights "${RESNET18:-data/models/resnet18.pth}")
if [ "${SMOKE:-0}" = 1 ]; then
  flat=parface_smoke imagenet=()
  train train_aae_unsupervised.py 1 --sessionname parface_smoke_ae --dataset-train celeba --activation leaky_relu
  train train_aae_landmarks.py 2 -r parface_smoke_ae --sessionname parface_smoke --dataset wlp300
fi
lms=(--crop-source lm_ground_truth)
train train_aae_landmarks_3d.py 650 -r "$flat" --sessionname parface_3d --dataset wlp300 --normalize "${lms[@]}" "${imagenet[@]}"
bb=(--test-split full --ocular-norm bb --eval-3d 1 "${lms[@]}")
score 'AFLW2000-3D, box norm' none -r parface_3d --dataset aflw20003d "${bb[@]}"
score 'ParFace palsy, box norm' '3.786 (README of ParFace)' -r parface_3d --dataset palsy "${bb[@]}"
