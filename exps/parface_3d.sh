#!/usr/bin/env bash
# ParFace-Net (FG 2024), 3D stage: depth head on the 3DA-2D model, then its README's sample scores on facial palsy.
# Expected with the authors' private files (README, sure): NME 3.786, STD 2.975, FR 0.815 %, AUC .6281, GTE 8.193, STD_GTE 4.374.
# Hardware: one GPU, a day, after parface_stages.sh (session parface_3da; in smoke runs a fresh one).
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn wlp300 aflw20003d palsy celeba
if [ "${SMOKE:-0}" = 1 ]; then
  train train_aae_unsupervised.py 1 --sessionname ae --dataset-train celeba --dataset-val celeba --activation leaky_relu
  train train_aae_landmarks.py 2 -r ae --sessionname parface_3da --dataset wlp300 --test-split val
fi
train train_aae_landmarks_3d.py 650 -r parface_3da --sessionname parface_3d --dataset wlp300 --test-split val --daug 4
score 'AFLW2000-3D, box norm' none -r parface_3d --dataset aflw20003d --test-split full --ocular-norm bb --eval-3d 1
score 'ParFace palsy, box norm' '3.786 (README of ParFace)' -r parface_3d --dataset palsy --test-split parface --ocular-norm bb --eval-3d 1
